// timer: arming, cancelling, sleeping. See benchmarks/README.md.
package main

import (
	"compare/measure"
	"context"
	"runtime"
	"sync"
	"time"
)

const hour = uint64(time.Hour)

func arm(o measure.Options, f measure.Figures) {
	timers := make([]*time.Timer, o.N)
	for r := 0; r <= o.Repeat; r++ {
		begin := time.Now()
		for i := range timers {
			timers[i] = time.AfterFunc(time.Duration(hour+measure.Mixed(uint64(i))%hour), func() {})
		}
		armed := time.Since(begin)
		begin = time.Now()
		for i := range timers {
			if !timers[i].Stop() {
				measure.Wrong("a timer of an hour fired")
			}
		}
		cancelled := time.Since(begin)
		if r != 0 {
			f.Add("arm_ns", float64(armed)/float64(o.N))
			f.Add("cancel_ns", float64(cancelled)/float64(o.N))
		}
	}
}

// What a Go programmer writes to bound a thing in time, around a thing that is over at once.
func timeout(n int) {
	for i := 0; i < n; i++ {
		bounded, cancel := context.WithTimeout(context.Background(), time.Hour)
		runtime.Gosched()
		if bounded.Err() != nil {
			measure.Wrong("an hour was over")
		}
		cancel()
	}
}

func sleep(n int, f measure.Figures) {
	us := make([]float64, n)
	for i := range us {
		begin := time.Now()
		time.Sleep(time.Millisecond)
		us[i] = float64(time.Since(begin)) / 1e3
	}
	if measure.Quantile(us, 0) < 1000 {
		measure.Wrong("a sleep of 1 ms took %.1f us", us[0])
	}
	f.Add("p50_us", measure.Quantile(us, 0.5))
	f.Add("p99_us", measure.Quantile(us, 0.99))
}

// Many sleep for 0 to 2 s each: how late do they wake, and what does it cost?
func crowd(n int) (lateMs []float64, cpuS float64) {
	lateMs = make([]float64, n)
	var all sync.WaitGroup
	all.Add(n)
	before := measure.CPU()
	for i := 0; i < n; i++ {
		i := i
		go func() {
			length := time.Duration(measure.Mixed(uint64(i)) % 2_000_000_000)
			begin := time.Now()
			time.Sleep(length)
			lateMs[i] = float64(time.Since(begin)-length) / 1e6
			all.Done()
		}()
	}
	all.Wait()
	return lateMs, measure.CPU() - before
}

func main() {
	o := measure.Parse("arm", "timeout", "sleep", "crowd")
	f := measure.Figures{}
	switch o.What {
	case "arm":
		arm(o, f)
	case "timeout":
		measure.Repeat(o, f, o.N, func() { timeout(o.N) })
	case "sleep":
		sleep(20, measure.Figures{})
		for r := 0; r < o.Repeat; r++ {
			sleep(o.N, f)
		}
	case "crowd":
		for r := 0; r < o.Repeat; r++ {
			late, cpu := crowd(o.N)
			f.Add("p99_ms", measure.Quantile(late, 0.99))
			f.Add("cpu_s", cpu)
		}
	}
	f.Print()
}
