//! reads: random reads past the page cache, each by a thread that may block: Tokio has no other way for
//! files. See benchmarks/README.md.

use compare::{cpu_s, mixed, on_a_worker, option, options, runtime, Figures, Options};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Instant;
use tokio::task::spawn_blocking;

const BLOCK_BYTES: usize = 4096;

/// Aligned as the disk wants it.
#[repr(align(4096))]
struct Block([u8; BLOCK_BYTES]);

struct Reading {
    file: File,
    blocks: u64,
    first: usize,
    n: usize,
    next: AtomicUsize,
}

async fn read_some(all: Arc<Reading>) {
    let mut buffer = Box::new(Block([0; BLOCK_BYTES]));
    loop {
        let i = all.next.fetch_add(1, Ordering::Relaxed);
        if i >= all.n {
            return;
        }
        let block = mixed((all.first + i) as u64) % all.blocks;
        let here = all.clone();
        buffer = spawn_blocking(move || {
            let at = block * BLOCK_BYTES as u64;
            here.file.read_exact_at(&mut buffer.0, at).expect("read");
            buffer
        })
        .await
        .unwrap();
        let mut begin = [0; 8];
        begin.copy_from_slice(&buffer.0[..8]);
        assert_eq!(
            u64::from_le_bytes(begin),
            mixed(block),
            "wrong: this is not block {}",
            block
        );
    }
}

async fn measure(o: Options, path: String) -> Figures {
    let mut figures = Figures::default();
    for r in 0..=o.repeat {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECT)
            .open(&path)
            .expect("open");
        let blocks = file.metadata().expect("stat").len() / BLOCK_BYTES as u64;
        let all = Arc::new(Reading {
            file,
            blocks,
            first: r * o.n,
            n: o.n,
            next: AtomicUsize::new(0),
        });
        let (begin, cpu) = (Instant::now(), cpu_s());
        let readers: Vec<_> = (0..o.tasks)
            .map(|_| tokio::spawn(read_some(all.clone())))
            .collect();
        for reader in readers {
            reader.await.unwrap();
        }
        if r != 0 {
            figures.add("us", begin.elapsed().as_nanos() as f64 / 1e3 / o.n as f64);
            figures.add("cpu_us", (cpu_s() - cpu) * 1e6 / o.n as f64);
        }
    }
    figures
}

fn main() {
    let o = options(&["reads"]);
    let path = option("--file", String::new());
    on_a_worker(&runtime(o.workers), measure(o, path)).print();
}
