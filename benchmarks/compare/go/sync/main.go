// sync: a bounded channel and a mutex. See benchmarks/README.md.
package main

import (
	"compare/measure"
	"sync"
)

const capacity = 1024

// channel sends 0 .. n-1 from `pairs` goroutines to as many.
func channel(n, pairs int) {
	messages, sums := make(chan uint64, capacity), make(chan uint64, pairs)
	var senders sync.WaitGroup
	senders.Add(pairs)
	for p := 0; p < pairs; p++ {
		begin, end := uint64(p*n/pairs), uint64((p+1)*n/pairs)
		go func() {
			for i := begin; i < end; i++ {
				messages <- i
			}
			senders.Done()
		}()
		go func() {
			sum := uint64(0)
			for i := range messages {
				sum += i
			}
			sums <- sum
		}()
	}
	senders.Wait()
	close(messages)
	sum := uint64(0)
	for p := 0; p < pairs; p++ {
		sum += <-sums
	}
	if sum != uint64(n)*uint64(n-1)/2 {
		measure.Wrong("the messages add up to %d", sum)
	}
}

func mutex(n, tasks int) {
	var lock sync.Mutex
	var all sync.WaitGroup
	counter := 0
	all.Add(tasks)
	for t := 0; t < tasks; t++ {
		go func() {
			for i := 0; i < n/tasks; i++ {
				lock.Lock()
				counter++
				lock.Unlock()
			}
			all.Done()
		}()
	}
	all.Wait()
	if counter != n/tasks*tasks {
		measure.Wrong("the counter is %d", counter)
	}
}

func main() {
	o := measure.Parse("channel", "mutex")
	f := measure.Figures{}
	if o.What == "channel" {
		measure.Repeat(o, f, o.N, func() { channel(o.N, o.Tasks) })
	} else {
		measure.Repeat(o, f, o.N, func() { mutex(o.N, o.Tasks) })
	}
	f.Print()
}
