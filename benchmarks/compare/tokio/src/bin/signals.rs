//! signals: one task tells another, or many, that something is so. `--channel flume` takes flume's.
//! See benchmarks/README.md.

use compare::{on_a_worker, option, options, runtime, Figures, Options};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot, Notify};

async fn answer(n: usize) {
    let mut sum = 0;
    for i in 0..n as u64 {
        let (to, from) = oneshot::channel();
        to.send(i).unwrap();
        sum += from.await.unwrap();
    }
    assert_eq!(sum, (n as u64) * (n as u64 - 1) / 2, "wrong");
}

/// Goes to and fro with what it is sent back by: each pass makes a oneshot.
struct Ball {
    passes: usize,
    back: oneshot::Sender<Ball>,
}

async fn play(mut from: oneshot::Receiver<Ball>, n: usize) -> usize {
    let mut sent = 0;
    while let Ok(got) = from.await {
        if got.passes == n {
            break;
        }
        let (back, next) = oneshot::channel();
        let passes = got.passes + 1;
        if got.back.send(Ball { passes, back }).is_err() {
            panic!("a lost ball");
        }
        sent += 1;
        from = next;
    }
    sent
}

async fn oneshot_pingpong(n: usize) {
    let (to_a, a) = oneshot::channel();
    let (back, b) = oneshot::channel();
    to_a.send(Ball { passes: 0, back }).ok().unwrap();
    let (a, b) = (tokio::spawn(play(a, n)), tokio::spawn(play(b, n)));
    assert_eq!(a.await.unwrap() + b.await.unwrap(), n, "wrong");
}

/// There and back are two passes.
async fn tokio_pingpong(n: usize) -> (u64, u64) {
    let (to, mut from_us) = mpsc::channel(1);
    let (to_us, mut from) = mpsc::channel(1);
    let other = tokio::spawn(async move {
        let mut sum = 0;
        while let Some(got) = from_us.recv().await {
            sum += got;
            to_us.send(got).await.unwrap();
        }
        sum
    });
    let mut sum = 0;
    for i in 0..n as u64 / 2 {
        to.send(i).await.unwrap();
        sum += from.recv().await.unwrap();
    }
    drop(to);
    (sum, other.await.unwrap())
}

async fn flume_pingpong(n: usize) -> (u64, u64) {
    let (to, from_us) = flume::bounded(1);
    let (to_us, from) = flume::bounded(1);
    let other = tokio::spawn(async move {
        let mut sum = 0;
        while let Ok(got) = from_us.recv_async().await {
            sum += got;
            to_us.send_async(got).await.unwrap();
        }
        sum
    });
    let mut sum = 0;
    for i in 0..n as u64 / 2 {
        to.send_async(i).await.unwrap();
        sum += from.recv_async().await.unwrap();
    }
    drop(to);
    (sum, other.await.unwrap())
}

#[derive(Default)]
struct Two {
    ping: Notify,
    pong: Notify,
    turns: AtomicUsize, // as a plain one: whose turn it is has it alone
}

impl Two {
    fn turn(&self) {
        self.turns.store(self.turns.load(Relaxed) + 1, Relaxed);
    }
}

async fn notify(n: usize) {
    let two = Arc::new(Two::default());
    let theirs = two.clone();
    let other = tokio::spawn(async move {
        for _ in 0..n / 2 {
            theirs.ping.notified().await;
            theirs.turn();
            theirs.pong.notify_one();
        }
    });
    for _ in 0..n / 2 {
        two.turn();
        two.ping.notify_one();
        two.pong.notified().await;
    }
    other.await.unwrap();
    assert_eq!(two.turns.load(Relaxed), n / 2 * 2, "wrong");
}

#[derive(Default)]
struct Crowd {
    all: Notify,
    here: Notify,
    arrived: AtomicUsize,
}

/// For one worker: who waits next time comes to it before who notifies runs.
async fn notify_all(n: usize, tasks: usize) {
    let crowd = Arc::new(Crowd::default());
    let mut members = Vec::new();
    for _ in 0..tasks {
        let crowd = crowd.clone();
        members.push(tokio::spawn(async move {
            for _ in 0..n / tasks {
                let arrived = crowd.arrived.load(Relaxed) + 1;
                crowd.arrived.store(arrived, Relaxed);
                if arrived % tasks == 0 {
                    crowd.here.notify_one();
                }
                crowd.all.notified().await;
            }
        }));
    }
    for _ in 0..n / tasks {
        crowd.here.notified().await;
        crowd.all.notify_waiters();
    }
    for one in members {
        one.await.unwrap();
    }
    assert_eq!(crowd.arrived.load(Relaxed), n / tasks * tasks, "wrong");
}

async fn measure(o: Options) -> Figures {
    let flume = option("--channel", String::from("tokio")) == "flume";
    let mut figures = Figures::default();
    for i in 0..=o.repeat {
        let begin = Instant::now();
        match o.what.as_str() {
            "oneshot" => answer(o.n).await,
            "oneshot-pingpong" => oneshot_pingpong(o.n).await,
            "notify" => notify(o.n).await,
            "notify-all" => notify_all(o.n, o.tasks).await,
            _ => {
                let half = o.n as u64 / 2;
                let sums = if flume {
                    flume_pingpong(o.n).await
                } else {
                    tokio_pingpong(o.n).await
                };
                assert_eq!(sums, (half * (half - 1) / 2, half * (half - 1) / 2), "wrong");
            }
        }
        if i != 0 {
            figures.add_ns_each(begin, o.n);
        }
    }
    figures
}

fn main() {
    let o = options(&["oneshot", "oneshot-pingpong", "pingpong", "notify", "notify-all"]);
    on_a_worker(&runtime(o.workers), measure(o)).print();
}
