#!/usr/bin/env bash
# Builds the campaign with deliberate bugs, runs it with each of them until a seed catches it, and prints the table of docs/proof.md.
# The bugs are in mutants.patch and nowhere else: it is applied for the build alone. `mutants.sh 500 [BUG...]` tries seeds
# 0..500, small fleets first and then fleets of any size, with one bug on each core.
set -euo pipefail
cd "$(dirname "$0")/../.."
export BINARY=target/debug/examples/mutants SEEDS=${1:-500}
patch=tests/campaign/mutants.patch
shift || true

if [[ ! -x $BINARY || -n $(find "$patch" src tests/campaign Cargo.lock -name '*.sh' -prune -o -newer "$BINARY" -type f -print -quit) ]]; then
    git diff --quiet -- src || { echo "src has changes: commit them first" >&2; exit 1; }
    git apply "$patch"
    trap 'git apply -R "$patch"' EXIT
    cargo build --locked --quiet --example campaign
    cp target/debug/examples/campaign "$BINARY"
    git apply -R "$patch"
    trap - EXIT
    touch "$BINARY"
fi

# Prints the row of one bug.
row() {
    local size found seed what
    for size in --small ""; do
        found=$(ROLEOUT_MUTANT=$1 "$BINARY" $size --seeds "0..$SEEDS" --first 2> /dev/null || true)
        seed=$(sed -n 's/^seed \([0-9]*\) fails.*/\1/p' <<< "$found" | head -1)
        what=$(sed -n 's/^  \(run [^:]*: \)\?\([a-z]*\): .*/\2/p' <<< "$found" | head -1)
        [[ -z $seed ]] || break
    done
    printf '| `%s` | %s | %s |\n' "$1" "${seed:-none of $SEEDS} $size" "${what:--}"
}
export -f row

mapfile -t bugs < <(if (($#)); then printf '%s\n' "$@"; else grep -oP '^\+.*?mutant\("\K[^"]+' "$patch" | sort -u; fi)
printf '| deliberate bug | caught by seed | what did not hold |\n|---|---|---|\n'
printf '%s\n' "${bugs[@]}" | xargs -P "$(nproc)" -I{} bash -c 'row {}' | LC_ALL=C sort
