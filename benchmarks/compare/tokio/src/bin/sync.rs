//! sync: a bounded channel and a mutex. `--channel flume` takes flume's. See benchmarks/README.md.

use compare::{on_a_worker, option, options, runtime, Figures, Options};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, Mutex};

const CAPACITY: usize = 1024;

fn part(n: usize, parts: usize, which: usize) -> std::ops::Range<u64> {
    (which * n / parts) as u64..((which + 1) * n / parts) as u64
}

/// Tokio's has one receiver only.
async fn tokio_channel(n: usize, senders: usize) -> u64 {
    let (to, mut from) = mpsc::channel(CAPACITY);
    for s in 0..senders {
        let to = to.clone();
        tokio::spawn(async move {
            for i in part(n, senders, s) {
                to.send(i).await.unwrap();
            }
        });
    }
    drop(to);
    let receiver = tokio::spawn(async move {
        let mut sum = 0;
        while let Some(i) = from.recv().await {
            sum += i;
        }
        sum
    });
    receiver.await.unwrap()
}

async fn flume_channel(n: usize, pairs: usize) -> u64 {
    let (to, from) = flume::bounded(CAPACITY);
    let mut receivers = Vec::new();
    for p in 0..pairs {
        let (to, from) = (to.clone(), from.clone());
        tokio::spawn(async move {
            for i in part(n, pairs, p) {
                to.send_async(i).await.unwrap();
            }
        });
        receivers.push(tokio::spawn(async move {
            let mut sum = 0;
            while let Ok(i) = from.recv_async().await {
                sum += i;
            }
            sum
        }));
    }
    drop(to);
    let mut sum = 0;
    for receiver in receivers {
        sum += receiver.await.unwrap();
    }
    sum
}

async fn mutex(n: usize, tasks: usize) {
    let counter = Arc::new(Mutex::new(0));
    let mut all = Vec::new();
    for _ in 0..tasks {
        let counter = counter.clone();
        all.push(tokio::spawn(async move {
            for _ in 0..n / tasks {
                *counter.lock().await += 1;
            }
        }));
    }
    for one in all {
        one.await.unwrap();
    }
    assert_eq!(*counter.lock().await, n / tasks * tasks, "wrong");
}

async fn measure(o: Options) -> Figures {
    let flume = option("--channel", String::from("tokio")) == "flume";
    let mut figures = Figures::default();
    for i in 0..=o.repeat {
        let begin = Instant::now();
        if o.what == "mutex" {
            mutex(o.n, o.tasks).await;
        } else {
            let sum = if flume {
                flume_channel(o.n, o.tasks).await
            } else {
                tokio_channel(o.n, o.tasks).await
            };
            assert_eq!(sum, (o.n as u64) * (o.n as u64 - 1) / 2, "wrong");
        }
        if i != 0 {
            figures.add_ns_each(begin, o.n);
        }
    }
    figures
}

fn main() {
    let o = options(&["channel", "mutex"]);
    on_a_worker(&runtime(o.workers), measure(o)).print();
}
