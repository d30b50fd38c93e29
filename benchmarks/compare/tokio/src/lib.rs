//! What the programs share. Rust 1.63 must be able to build them: it is Debian's.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Instant;
use tokio::runtime::{Builder, Runtime};

/// `--name value`, or the default.
pub fn option<T: std::str::FromStr>(name: &str, default: T) -> T {
    let mut args = std::env::args();
    while let Some(arg) = args.next() {
        if arg == name {
            return match args.next().map(|v| v.parse()) {
                Some(Ok(value)) => value,
                _ => panic!("{} needs a value", name),
            };
        }
    }
    default
}

/// The multi-threaded runtime, or Tokio's single-threaded one for `--runtime current`.
pub fn runtime(workers: usize) -> Runtime {
    let mut builder = if option("--runtime", String::from("multi")) == "current" {
        Builder::new_current_thread()
    } else {
        Builder::new_multi_thread()
    };
    builder.worker_threads(workers).enable_all().build().unwrap()
}

/// What all benchmarks take on their command line.
#[derive(Clone)]
pub struct Options {
    pub what: String,
    pub workers: usize,
    pub n: usize,
    pub repeat: usize,
    pub tasks: usize,
}

pub fn options(known: &[&str]) -> Options {
    let all = Options {
        what: option("--what", known[0].to_string()),
        workers: option("--workers", 1),
        n: option("--n", 10_000),
        repeat: option("--repeat", 5),
        tasks: option("--tasks", 1),
    };
    if !known.contains(&all.what.as_str()) || all.workers * all.n * all.repeat * all.tasks == 0 {
        eprintln!("--what is one of {:?}, and numbers are above zero", known);
        std::process::exit(2);
    }
    all
}

/// Runs `main` in a task, not in block_on: that would be on the main thread, which is no worker.
pub fn on_a_worker<F>(runtime: &Runtime, main: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let main = runtime.spawn(main);
    runtime.block_on(main).unwrap()
}

/// Samples by name, a list each.
#[derive(Default)]
pub struct Figures(BTreeMap<String, Vec<f64>>);

impl Figures {
    pub fn add(&mut self, name: &str, sample: f64) {
        self.0.entry(name.to_string()).or_default().push(sample);
    }
    pub fn add_ns_each(&mut self, begin: Instant, operations: usize) {
        self.add("ns", begin.elapsed().as_nanos() as f64 / operations as f64);
    }
    pub fn print(&self) {
        let lists = self.0.iter().map(|(name, samples)| format!("{:?}: {:?}", name, samples));
        println!("{{{}}}", lists.collect::<Vec<_>>().join(", "));
    }
}

/// The sample that `share` of the others do not exceed; sorts them.
pub fn quantile(samples: &mut [f64], share: f64) -> f64 {
    samples.sort_by(|a, b| a.partial_cmp(b).unwrap());
    samples[(share * (samples.len() - 1) as f64).round() as usize]
}

/// A number for each i, the same in every language.
pub fn mixed(i: u64) -> u64 {
    let mut z = (i + 1).wrapping_mul(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30).wrapping_mul(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D049BB133111EB);
    z ^ z >> 31
}

/// What of this process is in memory.
pub fn resident_bytes() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4096.0
}

/// The most memory that this process ever had.
pub fn peak_mb() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// The CPU time of this process and all its threads, in seconds: /proc counts it in 1/100 s.
pub fn cpu_s() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
