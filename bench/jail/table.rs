//! Medians, spreads, and how they are shown.
use super::world::World;

pub fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// The value that so large a part of all lies at or below.
pub fn percentile(values: &[f64], part: f64) -> f64 {
    let mut all = values.to_vec();
    all.sort_by(f64::total_cmp);
    let last = all.len().saturating_sub(1);
    // A rank of a list in memory.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let at = (part * last as f64).round() as usize;
    all.get(at).copied().unwrap_or(f64::NAN)
}

pub fn spread(values: &[f64]) -> String {
    format!("{:.1}–{:.1}", percentile(values, 0.0), percentile(values, 1.0))
}

pub fn heading(what: &str, unit: &str) {
    println!("\n| {what} | Steady ({unit}) | spread | peer ({unit}) | spread | ratio | the peer |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
}

pub fn pair(what: &str, mine: &[f64], theirs: &[f64], peer: &str) {
    let (a, b) = (median(mine), median(theirs));
    println!("| {what} | {a:.2} | {} | {b:.2} | {} | {:.2} | {peer} |", spread(mine), spread(theirs), a / b);
}

pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

pub fn machine(world: &World, rounds: usize) {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        info.lines().find_map(|l| l.strip_prefix("model name")).unwrap_or("?").trim_start_matches(['\t', ' ', ':']);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let build = if cfg!(debug_assertions) { "development build" } else { "release build" };
    let walls = world.runner.confinement();
    println!("machine: {cpus} × {model}, Linux {}, load {}", kernel.trim(), load());
    println!("{build}, {rounds} rounds, tier {}: {}", walls.name(), walls.summary);
}
