// spawn: what a goroutine and a yield cost. See benchmarks/README.md for the protocol.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
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

func yield(n int) {
	for i := 0; i < n; i++ {
		runtime.Gosched()
	}
}

func main() {
	workers := flag.Int("workers", 1, "threads that run goroutines")
	n := flag.Int("n", 10000, "operations a repetition")
	repeat := flag.Int("repeat", 5, "measured repetitions, after one that is not")
	what := flag.String("what", "spawn", "spawn or yield")
	flag.Parse()
	work := map[string]func(int){"spawn": spawn, "yield": yield}[*what]
	if work == nil {
		fmt.Fprintln(os.Stderr, "spawn: --what is spawn or yield")
		os.Exit(2)
	}
	runtime.GOMAXPROCS(*workers)
	work(*n)
	var all []string
	least := 0.0
	for i := 0; i < *repeat; i++ {
		begin := time.Now()
		work(*n)
		ns := float64(time.Since(begin).Nanoseconds()) / float64(*n)
		if i == 0 || ns < least {
			least = ns
		}
		all = append(all, fmt.Sprintf("%.2f", ns))
	}
	fmt.Printf("{\"ns\": %.2f, \"all\": [%s]}\n", least, strings.Join(all, ", "))
}
