//! fork_join: recursion with a task a fork. See benchmarks/README.md.

use compare::{on_a_worker, options, peak_mb, runtime, Figures, Options};
use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

type Sum = Pin<Box<dyn Future<Output = u64> + Send>>;

fn fib(n: usize) -> Sum {
    Box::pin(async move {
        if n < 2 {
            return n as u64;
        }
        let first = tokio::spawn(fib(n - 1));
        let second = fib(n - 2).await;
        first.await.unwrap() + second
    })
}

fn skynet(first: u64, leaves: u64) -> Sum {
    Box::pin(async move {
        if leaves == 1 {
            return first;
        }
        let each = leaves / 10;
        let children: Vec<_> =
            (0..10).map(|i| tokio::spawn(skynet(first + i * each, each))).collect();
        let mut sum = 0;
        for child in children {
            sum += child.await.unwrap();
        }
        sum
    })
}

fn fib_value(n: usize) -> u64 {
    (0..n).fold((0, 1), |(a, b), _| (b, a + b)).0
}

async fn measure(o: Options) -> Figures {
    let mut figures = Figures::default();
    for i in 0..=o.repeat {
        let begin = Instant::now();
        let operations = if o.what == "fib" {
            assert_eq!(fib(o.n).await, fib_value(o.n), "wrong");
            2 * fib_value(o.n + 1) as usize - 1
        } else {
            let n = o.n as u64;
            assert_eq!(skynet(0, n).await, n * (n - 1) / 2, "wrong");
            std::iter::successors(Some(o.n), |n| Some(n / 10)).take_while(|n| *n > 0).sum()
        };
        if i != 0 {
            figures.add_ns_each(begin, operations);
        }
    }
    if o.what == "skynet" {
        figures.add("peak_mb", peak_mb());
    }
    figures
}

fn main() {
    let o = options(&["fib", "skynet"]);
    on_a_worker(&runtime(o.workers), measure(o)).print();
}
