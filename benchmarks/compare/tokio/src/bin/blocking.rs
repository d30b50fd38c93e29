//! blocking: to a thread that may block, and back. See benchmarks/README.md.

use compare::{on_a_worker, options, runtime, Figures, Options};
use std::time::Instant;

async fn measure(o: Options) -> Figures {
    let mut figures = Figures::default();
    for r in 0..=o.repeat {
        let begin = Instant::now();
        for i in 0..o.n {
            let got = tokio::task::spawn_blocking(move || i + 1).await.unwrap();
            assert_eq!(got, i + 1, "wrong");
        }
        if r != 0 {
            figures.add("us", begin.elapsed().as_nanos() as f64 / 1e3 / o.n as f64);
        }
    }
    figures
}

fn main() {
    let o = options(&["blocking"]);
    on_a_worker(&runtime(o.workers), measure(o)).print();
}
