// reads: random reads past the page cache by many goroutines. See benchmarks/README.md.
package main

import (
	"compare/measure"
	"encoding/binary"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const blockBytes = 4096

// readSome has a buffer of its own, from mmap: what Go allocates is not aligned for the disk.
func readSome(file *os.File, blocks uint64, first, n int64, next *int64) {
	buffer, err := syscall.Mmap(-1, 0, blockBytes, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		measure.Wrong("mmap: %v", err)
	}
	defer syscall.Munmap(buffer)
	for {
		i := atomic.AddInt64(next, 1) - 1
		if i >= n {
			return
		}
		block := measure.Mixed(uint64(first+i)) % blocks
		if _, err := file.ReadAt(buffer, int64(block*blockBytes)); err != nil {
			measure.Wrong("read: %v", err)
		}
		if binary.LittleEndian.Uint64(buffer) != measure.Mixed(block) {
			measure.Wrong("this is not block %d", block)
		}
	}
}

func main() {
	o := measure.Parse("reads")
	// As many as Go takes by itself: a thread that reads keeps its P for a while.
	runtime.GOMAXPROCS(runtime.NumCPU())
	file, err := os.OpenFile(o.File, os.O_RDONLY|syscall.O_DIRECT, 0)
	if err != nil {
		measure.Wrong("open: %v", err)
	}
	info, err := file.Stat()
	if err != nil || info.Size() < blockBytes {
		measure.Wrong("the file is too short: %v", err)
	}
	f := measure.Figures{}
	for r := 0; r <= o.Repeat; r++ { // the first one warms up
		next := int64(0)
		var readers sync.WaitGroup
		readers.Add(o.Tasks)
		begin, cpu := time.Now(), measure.CPU()
		for t := 0; t < o.Tasks; t++ {
			go func() {
				readSome(file, uint64(info.Size()/blockBytes), int64(r*o.N), int64(o.N), &next)
				readers.Done()
			}()
		}
		readers.Wait()
		if r != 0 {
			f.Add("us", float64(time.Since(begin).Nanoseconds())/1e3/float64(o.N))
			f.Add("cpu_us", (measure.CPU()-cpu)*1e6/float64(o.N))
		}
	}
	f.Print()
}
