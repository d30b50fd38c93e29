//! What the three programs share. Rust 1.63 must be able to build them: it is Debian's.

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
