//! spawn: what a task with its join handle, a yield, and a hand-over to another thread cost.
//! See benchmarks/README.md.

use compare::{on_a_worker, options, quantile, resident_bytes, runtime, Figures, Options};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

async fn spawn(n: usize) {
    let mut handles = Vec::with_capacity(n);
    for _ in 0..n {
        handles.push(tokio::spawn(async {}));
    }
    for handle in handles {
        handle.await.unwrap();
    }
}

async fn yield_alone(n: usize) {
    for _ in 0..n {
        tokio::task::yield_now().await;
    }
}

async fn yields(n: usize, tasks: usize) {
    if tasks == 1 {
        return yield_alone(n).await;
    }
    let all: Vec<_> = (0..tasks).map(|_| tokio::spawn(yield_alone(n / tasks))).collect();
    for one in all {
        one.await.unwrap();
    }
}

/// From this runtime's worker to that of another one. One way: the task there looks at the clock.
async fn hops(n: usize, before: Duration, other: tokio::runtime::Handle) -> Vec<f64> {
    let mut us = Vec::with_capacity(n);
    for _ in 0..n {
        let begin = Instant::now();
        while begin.elapsed() < before {}
        let left = Instant::now();
        let arrived = other.spawn(async { Instant::now() }).await.unwrap();
        us.push((arrived - left).as_nanos() as f64 / 1e3);
    }
    us
}

async fn wait(n: usize, gate: Arc<Notify>) {
    let begun = Arc::new(AtomicUsize::new(0));
    for _ in 0..n {
        let (gate, begun) = (gate.clone(), begun.clone());
        tokio::spawn(async move {
            begun.fetch_add(1, Ordering::Relaxed);
            drop(begun);
            gate.notified().await;
        });
    }
    while begun.load(Ordering::Relaxed) != n {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
}

async fn memory(n: usize) -> f64 {
    let gate = Arc::new(Notify::new());
    wait(1, gate.clone()).await;
    let before = resident_bytes();
    wait(n, gate.clone()).await;
    let each = (resident_bytes() - before) / n as f64;
    gate.notify_waiters();
    each
}

async fn measure(o: Options, other: Option<tokio::runtime::Handle>) -> Figures {
    let mut figures = Figures::default();
    if o.what == "memory" {
        figures.add("bytes", memory(o.n).await);
        return figures;
    }
    for i in 0..=o.repeat {
        let begin = Instant::now();
        match o.what.as_str() {
            "spawn" => spawn(o.n).await,
            "yield" => yields(o.n, o.tasks).await,
            hop => {
                let before = Duration::from_micros(if hop == "hop" { 0 } else { 200 });
                let mut us = hops(o.n, before, other.clone().unwrap()).await;
                if i != 0 {
                    figures.add("p50_us", quantile(&mut us, 0.5));
                }
                continue;
            }
        }
        if i != 0 {
            figures.add_ns_each(begin, o.n);
        }
    }
    figures
}

fn main() {
    let o = options(&["spawn", "yield", "hop", "hop-parked", "memory"]);
    if o.what.starts_with("hop") {
        // A worker each; inside of one runtime Tokio may keep both tasks on one.
        let (here, there) = (runtime(1), runtime(1));
        on_a_worker(&here, measure(o, Some(there.handle().clone()))).print();
    } else {
        let here = runtime(o.workers);
        on_a_worker(&here, measure(o, None)).print();
    }
}
