// sync: what many goroutines share: channels and locks. See benchmarks/README.md.
package main

import (
	"compare/measure"
	"sync"
)

const capacity = 1024

// channel sends 0 .. n-1 from `pairs` goroutines to as many.
func channel(n, pairs, capacity int) {
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

// semaphore is a channel of one: what the standard library has for it.
func semaphore(n, tasks int) {
	one := make(chan struct{}, 1)
	var all sync.WaitGroup
	counter := 0
	all.Add(tasks)
	for t := 0; t < tasks; t++ {
		go func() {
			for i := 0; i < n/tasks; i++ {
				one <- struct{}{}
				counter++
				<-one
			}
			all.Done()
		}()
	}
	all.Wait()
	if counter != n/tasks*tasks {
		measure.Wrong("the counter is %d", counter)
	}
}

const writeEvery = 64

func rwlock(n, tasks int) {
	var lock sync.RWMutex
	var all sync.WaitGroup
	a, b := 0, 0
	all.Add(tasks)
	for t := 0; t < tasks; t++ {
		go func() {
			for i := 0; i < n/tasks; i++ {
				if i%writeEvery == 0 {
					lock.Lock()
					a++
					b++
					lock.Unlock()
				} else {
					lock.RLock()
					if a != b {
						measure.Wrong("half a write was read")
					}
					lock.RUnlock()
				}
			}
			all.Done()
		}()
	}
	all.Wait()
	if a != (n/tasks+writeEvery-1)/writeEvery*tasks {
		measure.Wrong("%d writes", a)
	}
}

func main() {
	o := measure.Parse("channel", "rendezvous", "mutex", "semaphore", "rwlock")
	f := measure.Figures{}
	works := map[string]func(){
		"channel":    func() { channel(o.N, o.Tasks, capacity) },
		"rendezvous": func() { channel(o.N, o.Tasks, 0) },
		"mutex":      func() { mutex(o.N, o.Tasks) },
		"semaphore":  func() { semaphore(o.N, o.Tasks) },
		"rwlock":     func() { rwlock(o.N, o.Tasks) },
	}
	measure.Repeat(o, f, o.N, works[o.What])
	f.Print()
}
