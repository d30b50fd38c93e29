//! sync: what many tasks share: channels and locks. `--channel flume` takes flume's. See benchmarks/README.md.

use compare::{on_a_worker, option, options, runtime, Figures, Options};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, Mutex, RwLock, Semaphore};

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

async fn tokio_unbounded(n: usize, senders: usize) -> u64 {
    let (to, mut from) = mpsc::unbounded_channel();
    for s in 0..senders {
        let to = to.clone();
        tokio::spawn(async move {
            for i in part(n, senders, s) {
                to.send(i).unwrap();
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

type Ends = (flume::Sender<u64>, flume::Receiver<u64>);

async fn flume_channel((to, from): Ends, n: usize, pairs: usize) -> u64 {
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

async fn semaphore(n: usize, tasks: usize) {
    let one = Arc::new(Semaphore::new(1));
    let counter = Arc::new(AtomicUsize::new(0));
    let mut all = Vec::new();
    for _ in 0..tasks {
        let (one, counter) = (one.clone(), counter.clone());
        all.push(tokio::spawn(async move {
            for _ in 0..n / tasks {
                let _held = one.acquire().await.unwrap();
                // As a plain one: nobody else is in.
                counter.store(counter.load(Relaxed) + 1, Relaxed);
            }
        }));
    }
    for one in all {
        one.await.unwrap();
    }
    assert_eq!(counter.load(Relaxed), n / tasks * tasks, "wrong");
}

const WRITE_EVERY: usize = 64;

async fn rwlock(n: usize, tasks: usize) {
    let guarded = Arc::new(RwLock::new((0, 0)));
    let mut all = Vec::new();
    for _ in 0..tasks {
        let guarded = guarded.clone();
        all.push(tokio::spawn(async move {
            for i in 0..n / tasks {
                if i % WRITE_EVERY == 0 {
                    let mut held = guarded.write().await;
                    held.0 += 1;
                    held.1 += 1;
                } else {
                    let held = guarded.read().await;
                    assert_eq!(held.0, held.1, "wrong");
                }
            }
        }));
    }
    for one in all {
        one.await.unwrap();
    }
    let writes = (n / tasks + WRITE_EVERY - 1) / WRITE_EVERY * tasks;
    assert_eq!(guarded.read().await.0, writes, "wrong");
}

async fn messages(o: &Options, flume: bool) -> u64 {
    let (n, tasks) = (o.n, o.tasks);
    match (o.what.as_str(), flume) {
        ("channel", true) => flume_channel(flume::bounded(CAPACITY), n, tasks).await,
        ("channel", false) => tokio_channel(n, tasks).await,
        ("unbounded", true) => flume_channel(flume::unbounded(), n, tasks).await,
        ("unbounded", false) => tokio_unbounded(n, tasks).await,
        ("rendezvous", true) => flume_channel(flume::bounded(0), n, tasks).await,
        _ => panic!("Tokio has no such channel"),
    }
}

async fn measure(o: Options) -> Figures {
    let flume = option("--channel", String::from("tokio")) == "flume";
    let mut figures = Figures::default();
    for i in 0..=o.repeat {
        let begin = Instant::now();
        match o.what.as_str() {
            "mutex" => mutex(o.n, o.tasks).await,
            "semaphore" => semaphore(o.n, o.tasks).await,
            "rwlock" => rwlock(o.n, o.tasks).await,
            _ => {
                let sum = messages(&o, flume).await;
                assert_eq!(sum, (o.n as u64) * (o.n as u64 - 1) / 2, "wrong");
            }
        }
        if i != 0 {
            figures.add_ns_each(begin, o.n);
        }
    }
    figures
}

fn main() {
    let o = options(&["channel", "unbounded", "rendezvous", "mutex", "semaphore", "rwlock"]);
    on_a_worker(&runtime(o.workers), measure(o)).print();
}
