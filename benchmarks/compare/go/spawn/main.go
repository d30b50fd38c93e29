// spawn: what a goroutine, a yield and a hand-over to another thread cost. See benchmarks/README.md.
package main

import (
	"compare/measure"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Go has no join handle; a WaitGroup is how a Go programmer waits for many.
func spawn(n int) {
	var all sync.WaitGroup
	all.Add(n)
	for i := 0; i < n; i++ {
		go func() { all.Done() }()
	}
	all.Wait()
}

func yield(n, tasks int) {
	if tasks == 1 {
		for i := 0; i < n; i++ {
			runtime.Gosched()
		}
		return
	}
	var all sync.WaitGroup
	all.Add(tasks)
	for t := 0; t < tasks; t++ {
		go func() {
			yield(n/tasks, 1)
			all.Done()
		}()
	}
	all.Wait()
}

// Two goroutines, each with a thread of its own: the only way to make Go cross threads.
func hops(n int, before time.Duration) []float64 {
	begun := time.Now()
	there, back := make(chan struct{}), make(chan time.Duration)
	go func() {
		runtime.LockOSThread()
		for range there {
			back <- time.Since(begun)
		}
		close(back)
	}()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	us := make([]float64, n)
	for i := range us {
		for at := time.Now(); time.Since(at) < before; {
		}
		left := time.Since(begun)
		there <- struct{}{}
		us[i] = float64(<-back-left) / 1e3
	}
	close(there)
	<-back
	return us
}

func memory(n int) float64 {
	var begun int64
	gate := make(chan struct{})
	wait := func(count int) {
		for i := 0; i < count; i++ {
			go func() {
				atomic.AddInt64(&begun, 1)
				<-gate
			}()
		}
		for atomic.LoadInt64(&begun) != int64(count) {
			runtime.Gosched()
		}
		time.Sleep(10 * time.Millisecond)
	}
	wait(1) // what the first one costs is not what a further one does
	begun = 0
	before := measure.ResidentBytes()
	wait(n)
	each := (measure.ResidentBytes() - before) / float64(n)
	close(gate)
	return each
}

func main() {
	o := measure.Parse("spawn", "yield", "hop", "hop-parked", "memory")
	f := measure.Figures{}
	switch o.What {
	case "spawn":
		measure.Repeat(o, f, o.N, func() { spawn(o.N) })
	case "yield":
		measure.Repeat(o, f, o.N, func() { yield(o.N, o.Tasks) })
	case "hop", "hop-parked":
		before := time.Duration(0)
		if o.What == "hop-parked" {
			before = 200 * time.Microsecond
		}
		for i := 0; i <= o.Repeat; i++ {
			us := hops(o.N, before)
			if i != 0 {
				f.Add("p50_us", measure.Quantile(us, 0.5))
			}
		}
	case "memory":
		f.Add("bytes", memory(o.N))
	}
	f.Print()
}
