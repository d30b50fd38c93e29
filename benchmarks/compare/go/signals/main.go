// signals: one goroutine tells another, or many, that something is so. See benchmarks/README.md.
package main

import (
	"compare/measure"
	"sync"
)

// oneshot is a channel for one value.
func oneshot(n int) {
	sum := uint64(0)
	for i := 0; i < n; i++ {
		answer := make(chan uint64, 1)
		answer <- uint64(i)
		sum += <-answer
	}
	if sum != uint64(n)*uint64(n-1)/2 {
		measure.Wrong("the values add up to %d", sum)
	}
}

// ball goes to and fro with what it is sent back by: each pass makes a channel.
type ball struct {
	passes int
	back   chan ball
}

func play(from chan ball, n int, sent chan int) {
	passes := 0
	for {
		got, ok := <-from
		if !ok {
			break
		}
		if got.passes == n {
			close(got.back)
			break
		}
		next := make(chan ball, 1)
		got.back <- ball{got.passes + 1, next}
		passes++
		from = next
	}
	sent <- passes
}

func oneshotPingpong(n int) {
	a, b, sent := make(chan ball, 1), make(chan ball, 1), make(chan int, 2)
	a <- ball{0, b}
	go play(a, n, sent)
	go play(b, n, sent)
	if passes := <-sent + <-sent; passes != n {
		measure.Wrong("%d passes", passes)
	}
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

// notifyOne keeps at most one notification.
func notifyOne(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func notify(n int) {
	ping, pong, done := make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{})
	turns := 0
	go func() {
		for i := 0; i < n/2; i++ {
			<-ping
			turns++
			notifyOne(pong)
		}
		close(done)
	}()
	for i := 0; i < n/2; i++ {
		turns++
		notifyOne(ping)
		<-pong
	}
	<-done
	if turns != n/2*2 {
		measure.Wrong("%d turns", turns)
	}
}

// notifyAll: a condition variable, whose mutex says that all of them wait.
func notifyAll(n, tasks int) {
	var lock sync.Mutex
	all, here := sync.NewCond(&lock), sync.NewCond(&lock)
	arrived := 0
	var members sync.WaitGroup
	members.Add(tasks)
	for t := 0; t < tasks; t++ {
		go func() {
			lock.Lock()
			for i := 0; i < n/tasks; i++ {
				arrived++
				if arrived%tasks == 0 {
					here.Signal()
				}
				all.Wait()
			}
			lock.Unlock()
			members.Done()
		}()
	}
	lock.Lock()
	for i := 0; i < n/tasks; i++ {
		for arrived != (i+1)*tasks {
			here.Wait()
		}
		all.Broadcast()
	}
	lock.Unlock()
	members.Wait()
	if arrived != n/tasks*tasks {
		measure.Wrong("%d arrived", arrived)
	}
}

func latch(n, tasks int) {
	for i := 0; i < n/tasks; i++ {
		var done sync.WaitGroup
		done.Add(tasks)
		for t := 0; t < tasks; t++ {
			done.Done()
		}
		done.Wait()
	}
}

func main() {
	o := measure.Parse("oneshot", "oneshot-pingpong", "pingpong", "notify", "notify-all", "latch")
	f := measure.Figures{}
	works := map[string]func(){
		"oneshot":          func() { oneshot(o.N) },
		"oneshot-pingpong": func() { oneshotPingpong(o.N) },
		"pingpong":         func() { pingpong(o.N) },
		"notify":           func() { notify(o.N) },
		"notify-all":       func() { notifyAll(o.N, o.Tasks) },
		"latch":            func() { latch(o.N, o.Tasks) },
	}
	measure.Repeat(o, f, o.N, works[o.What])
	f.Print()
}
