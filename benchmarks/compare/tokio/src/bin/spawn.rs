//! spawn: what a task with its join handle and a yield cost. See benchmarks/README.md for the protocol.

use compare::{option, runtime};
use std::time::Instant;

async fn spawn(n: usize) {
    let mut handles = Vec::with_capacity(n);
    for _ in 0..n {
        handles.push(tokio::spawn(async {}));
    }
    for handle in handles {
        handle.await.unwrap();
    }
}

async fn yields(n: usize) {
    for _ in 0..n {
        tokio::task::yield_now().await;
    }
}

async fn work(what: &str, n: usize) {
    match what {
        "spawn" => spawn(n).await,
        "yield" => yields(n).await,
        _ => panic!("--what is spawn or yield"),
    }
}

fn main() {
    let workers = option("--workers", 1);
    let n: usize = option("--n", 10_000);
    let repeat: usize = option("--repeat", 5);
    let what = option("--what", String::from("spawn"));
    let runtime = runtime(workers);
    // Inside a task, not in block_on: block_on runs on the main thread, which is no worker.
    let main = runtime.spawn(async move {
        work(&what, n).await;
        let mut all = Vec::new();
        for _ in 0..repeat {
            let begin = Instant::now();
            work(&what, n).await;
            all.push(begin.elapsed().as_nanos() as f64 / n as f64);
        }
        all
    });
    let all = runtime.block_on(main).unwrap();
    let least = all.iter().cloned().fold(f64::INFINITY, f64::min);
    let all: Vec<String> = all.iter().map(|ns| format!("{:.2}", ns)).collect();
    println!("{{\"ns\": {:.2}, \"all\": [{}]}}", least, all.join(", "));
}
