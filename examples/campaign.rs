//! Runs a campaign: `cargo run --release --example campaign -- --seeds 0..2000`. Each seed is a fleet and what goes wrong with it.
//! With `--small` each has one to three targets. With `--trace` a seed is told in full; a seed that fails is made small and printed with the command that replays it.

#[path = "../tests/campaign/simulation.rs"]
mod simulation;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match campaign(std::env::args().skip(1).collect()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}\nusage: campaign [--seeds A..B] [--small] [--trace] [--first]");
            ExitCode::from(2)
        }
    }
}

/// Runs the seeds and returns how many failed.
fn campaign(arguments: Vec<String>) -> Result<u64, String> {
    let (mut seeds, mut trace, mut first, mut small) = (0..200, false, false, false);
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seeds" => {
                let text = arguments.next().unwrap_or_default();
                let range = text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
                seeds = range.ok_or_else(|| format!("`{text}` is not A..B"))?;
            }
            "--trace" => trace = true,
            "--first" => first = true,
            "--small" => small = true,
            other => return Err(format!("`{other}` is not known")),
        }
    }
    let began = tokio::time::Instant::now();
    let mut out = io::stdout().lock();
    let (mut failed, mut ran, mut slowest) = (0, 0_u64, (Duration::ZERO, 0));
    for seed in seeds {
        let scenario = if small { simulation::draw::small(seed) } else { simulation::draw::scenario(seed) };
        if trace {
            let log = simulation::log(&scenario);
            write!(out, "{}\n{log}", scenario.describe()).map_err(|error| error.to_string())?;
        }
        let since = began.elapsed();
        let broken = simulation::judge(&scenario);
        slowest = slowest.max((began.elapsed() - since, seed));
        ran += 1;
        if broken.is_empty() {
            continue;
        }
        failed += 1;
        let flag = if small { " --small" } else { "" };
        let replay = format!("cargo run --release --example campaign -- --seeds {seed}..{}{flag} --trace", seed + 1);
        let _ = writeln!(out, "seed {seed} fails: {replay}\n  {}", broken.join("\n  "));
        if first {
            break;
        }
        if trace {
            let (small, broken) = simulation::shrink::shrink(&scenario, broken);
            let _ = writeln!(out, "made small:\n{}  {}", small.describe(), broken.join("\n  "));
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let _ = writeln!(out, "{ran} seeds, {failed} failed, {seconds:.1} s, the slowest {slowest:?}");
    Ok(failed)
}
