#!/usr/bin/env bash
# Builds the campaign with deliberate bugs, runs it with each of them until a seed catches it, and prints the table of docs/proof.md.
# The bugs are in mutants.patch and nowhere else: it is applied for the build alone. `mutants.sh 500 [BUG...]` tries seeds
# 0..500, small fleets first and then fleets of any size.
set -euo pipefail
cd "$(dirname "$0")/../.."
patch=tests/campaign/mutants.patch seeds=${1:-500}
shift || true
binary=target/debug/examples/mutants

if [[ ! -x $binary || $patch -nt $binary ]]; then
    git diff --quiet -- src || { echo "src has changes: commit them first" >&2; exit 1; }
    git apply "$patch"
    trap 'git apply -R "$patch"' EXIT
    cargo build --locked --quiet --example campaign
    cp target/debug/examples/campaign "$binary"
fi

mapfile -t bugs < <(if (($#)); then printf '%s\n' "$@"; else grep -oP '^\+.*?mutant\("\K[^"]+' "$patch" | sort -u; fi)
printf '| deliberate bug | caught by seed | what did not hold |\n|---|---|---|\n'
for bug in "${bugs[@]}"; do
    for size in --small ""; do
        found=$(ROLEOUT_MUTANT=$bug "$binary" $size --seeds "0..$seeds" --first 2> /dev/null || true)
        seed=$(sed -n 's/^seed \([0-9]*\) fails.*/\1/p' <<< "$found" | head -1)
        what=$(sed -n 's/^  \(run [^:]*: \)\?\([a-z]*\): .*/\2/p' <<< "$found" | head -1)
        [[ -z $seed ]] || break
    done
    printf '| `%s` | %s | %s |\n' "$bug" "${seed:-none of $seeds} $size" "${what:--}"
done
