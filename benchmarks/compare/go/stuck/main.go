// stuck: goroutines whose hearts beat once a millisecond, beside others that hold their threads. See
// benchmarks/README.md and stuck.cpp.
package main

import (
	"compare/measure"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	beat   = time.Millisecond
	hold   = 200 * time.Millisecond
	wave   = 500 * time.Millisecond
	hearts = 4
)

func blockInSleep() {
	left := syscall.NsecToTimespec(hold.Nanoseconds())
	for syscall.Nanosleep(&left, &left) != nil {
	}
}

// Of a timerfd, as ours does it: the read of an os.File would wait in Go's own poller.
func blockInRead() {
	const clockMonotonic = 1
	fd, _, failed := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, clockMonotonic, syscall.O_CLOEXEC, 0)
	if failed != 0 {
		measure.Wrong("no timerfd: %v", failed)
	}
	due := [4]int64{0, 0, 0, hold.Nanoseconds()} // itimerspec: interval, value
	_, _, failed = syscall.Syscall6(syscall.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&due)), 0, 0, 0)
	if failed != 0 {
		measure.Wrong("no timerfd: %v", failed)
	}
	var times [8]byte
	for {
		n, err := syscall.Read(int(fd), times[:])
		if err == syscall.EINTR {
			continue
		}
		if n != 8 || binary.LittleEndian.Uint64(times[:]) == 0 {
			measure.Wrong("the timerfd: %v", err)
		}
		break
	}
	syscall.Close(int(fd))
}

func compute(allocates bool) {
	end := time.Now().Add(hold)
	var kept []byte
	for n := 1; time.Now().Before(end); n = n * 7 % 4093 {
		if allocates {
			kept = make([]byte, n)
		}
	}
	if allocates && len(kept) == 0 {
		measure.Wrong("nothing was allocated")
	}
}

func beStuck(how string) {
	switch how {
	case "sleep":
		blockInSleep()
	case "read":
		blockInRead()
	default:
		compute(how == "malloc")
	}
}

func heart(over *atomic.Bool) (lateMs []float64) {
	for !over.Load() {
		due := time.Now().Add(beat)
		time.Sleep(beat)
		lateMs = append(lateMs, float64(time.Since(due).Nanoseconds())/1e6)
	}
	return lateMs
}

func waves(how string, hogs int, length time.Duration) {
	var all sync.WaitGroup
	begin := time.Now()
	end := begin.Add(length)
	for next := begin; next.Before(end); next = next.Add(wave) {
		time.Sleep(time.Until(next))
		for i := 0; i < hogs; i++ {
			all.Add(1)
			go func() {
				beStuck(how)
				all.Done()
			}()
		}
	}
	time.Sleep(time.Until(end))
	all.Wait()
}

func measureHearts(o measure.Options, f measure.Figures) {
	var over atomic.Bool
	var beating sync.WaitGroup
	late := make([][]float64, hearts)
	for h := range late {
		h := h
		beating.Add(1)
		go func() {
			late[h] = heart(&over)
			beating.Done()
		}()
	}
	waves(o.What, o.Tasks, time.Duration(o.N)*time.Millisecond)
	over.Store(true)
	beating.Wait()
	var all []float64
	for _, each := range late {
		all = append(all, each...)
	}
	if len(all) < 10*hearts {
		measure.Wrong("%d beats", len(all))
	}
	f.Add("p50_ms", measure.Quantile(all, 0.5))
	f.Add("p99_ms", measure.Quantile(all, 0.99))
	f.Add("p999_ms", measure.Quantile(all, 0.999))
	f.Add("worst_ms", all[len(all)-1])
}

func main() {
	o := measure.Parse("spin", "malloc", "sleep", "read")
	f := measure.Figures{}
	for r := 0; r < o.Repeat; r++ {
		measureHearts(o, f)
	}
	f.Print()
}
