//! timer: arming, cancelling, sleeping. See benchmarks/README.md.

use compare::{cpu_s, mixed, on_a_worker, options, quantile, runtime, Figures, Options};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

const HOUR: Duration = Duration::from_secs(3600);

/// Tokio arms a sleep when it is polled first: polls all, and is ready.
struct PollAll<'a>(&'a mut [Pin<Box<Sleep>>]);

impl Future for PollAll<'_> {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        for sleep in self.0.iter_mut() {
            assert!(sleep.as_mut().poll(context).is_pending(), "wrong: an hour was over");
        }
        Poll::Ready(())
    }
}

async fn arm(o: &Options, figures: &mut Figures) {
    for r in 0..=o.repeat {
        let more = |i| Duration::from_nanos(mixed(i) % HOUR.as_nanos() as u64);
        let now = tokio::time::Instant::now();
        let mut sleeps: Vec<_> = (0..o.n as u64)
            .map(|i| Box::pin(tokio::time::sleep_until(now + HOUR + more(i))))
            .collect();
        let begin = Instant::now();
        PollAll(&mut sleeps).await;
        let armed = begin.elapsed();
        let begin = Instant::now();
        drop(sleeps);
        let cancelled = begin.elapsed();
        if r != 0 {
            figures.add("arm_ns", armed.as_nanos() as f64 / o.n as f64);
            figures.add("cancel_ns", cancelled.as_nanos() as f64 / o.n as f64);
        }
    }
}

async fn timeout(n: usize) {
    for _ in 0..n {
        tokio::time::timeout(HOUR, tokio::task::yield_now()).await.expect("wrong");
    }
}

async fn sleep(n: usize) -> Vec<f64> {
    let mut us = Vec::with_capacity(n);
    for _ in 0..n {
        let begin = Instant::now();
        tokio::time::sleep(Duration::from_millis(1)).await;
        us.push(begin.elapsed().as_nanos() as f64 / 1e3);
        assert!(*us.last().unwrap() >= 1000.0, "wrong");
    }
    us
}

/// Many sleep for 0 to 2 s each: how late do they wake, and what does it cost?
async fn crowd(n: usize, figures: &mut Figures) {
    let before = cpu_s();
    let mut all = Vec::with_capacity(n);
    for i in 0..n as u64 {
        all.push(tokio::spawn(async move {
            let length = Duration::from_nanos(mixed(i) % 2_000_000_000);
            let begin = Instant::now();
            tokio::time::sleep(length).await;
            begin.elapsed().as_nanos() as f64 / 1e6 - length.as_nanos() as f64 / 1e6
        }));
    }
    let mut late = Vec::with_capacity(n);
    for one in all {
        late.push(one.await.unwrap());
    }
    figures.add("cpu_s", cpu_s() - before);
    figures.add("p99_ms", quantile(&mut late, 0.99));
}

async fn measure(o: Options) -> Figures {
    let mut figures = Figures::default();
    match o.what.as_str() {
        "arm" => arm(&o, &mut figures).await,
        "timeout" => {
            for i in 0..=o.repeat {
                let begin = Instant::now();
                timeout(o.n).await;
                if i != 0 {
                    figures.add_ns_each(begin, o.n);
                }
            }
        }
        "sleep" => {
            sleep(20).await;
            for _ in 0..o.repeat {
                let mut us = sleep(o.n).await;
                figures.add("p50_us", quantile(&mut us, 0.5));
                figures.add("p99_us", quantile(&mut us, 0.99));
            }
        }
        _ => {
            for _ in 0..o.repeat {
                crowd(o.n, &mut figures).await;
            }
        }
    }
    figures
}

fn main() {
    let o = options(&["arm", "timeout", "sleep", "crowd"]);
    on_a_worker(&runtime(o.workers), measure(o)).print();
}
