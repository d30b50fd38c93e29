// fiber: the same work by goroutines, which are Go's fibers. See benchmarks/README.md.
package main

import (
	"compare/measure"
	"runtime"
	"sync"
	"time"
)

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

// Go has no join handle; a WaitGroup is how a Go programmer waits.
func spawn(n, atOnce int) {
	var all sync.WaitGroup
	for done := 0; done < n; done += atOnce {
		all.Add(atOnce)
		for i := 0; i < atOnce; i++ {
			go func() { all.Done() }()
		}
		all.Wait()
	}
}

// For one worker.
func memory(n int, f measure.Figures) {
	begun := 0
	gate := make(chan struct{})
	var all sync.WaitGroup
	wait := func(count int) {
		before := begun
		all.Add(count)
		for i := 0; i < count; i++ {
			go func() {
				begun++
				<-gate
				all.Done()
			}()
		}
		for begun != before+count {
			runtime.Gosched()
		}
	}
	wait(1) // what the first one costs is not what a further one does
	before, tablesBefore := measure.ResidentBytes(), measure.PageTableBytes()
	wait(n)
	f.Add("bytes", (measure.ResidentBytes()-before)/float64(n))
	f.Add("table_bytes", (measure.PageTableBytes()-tablesBefore)/float64(n))
	begin := time.Now()
	close(gate)
	all.Wait()
	f.Add("ns", float64(time.Since(begin).Nanoseconds())/float64(n))
}

// pingpong: there and back are two passes.
func pingpong(n int) {
	to, from, theirs := make(chan uint64, 1), make(chan uint64, 1), make(chan uint64, 1)
	go func() {
		sum := uint64(0)
		for got := range to {
			sum += got
			from <- got
		}
		theirs <- sum
	}()
	sum := uint64(0)
	for i := 0; i < n/2; i++ {
		to <- uint64(i)
		sum += <-from
	}
	close(to)
	if half := uint64(n / 2); sum != <-theirs || sum != half*(half-1)/2 {
		measure.Wrong("the messages add up to %d", sum)
	}
}

func main() {
	o := measure.Parse("yield", "spawn", "memory", "pingpong")
	f := measure.Figures{}
	switch o.What {
	case "yield":
		measure.Repeat(o, f, o.N, func() { yield(o.N, o.Tasks) })
	case "spawn":
		measure.Repeat(o, f, o.N, func() { spawn(o.N, o.Tasks) })
	case "memory":
		memory(o.N, f)
	case "pingpong":
		measure.Repeat(o, f, o.N, func() { pingpong(o.N) })
	}
	f.Print()
}
