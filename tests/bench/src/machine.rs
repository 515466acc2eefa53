//! What machine the figures are of.

/// The date, the number of processors and their model.
pub fn described() -> String {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or(std::env::consts::ARCH, |(_, model)| model);
    let date = jiff::Timestamp::now().strftime("%Y-%m-%d");
    format!("{date}, {processors} processors ({model})")
}
