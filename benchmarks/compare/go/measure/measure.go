// Package measure has what the Go programs of ./bench share: options, repetitions, the line of figures.
// See benchmarks/README.md for the protocol.
package measure

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"sort"
	"strings"
	"syscall"
	"time"
)

type Options struct {
	What, File                string
	Workers, N, Repeat, Tasks int
}

// Parse reads the options, and sets the number of workers.
func Parse(known ...string) Options {
	var o Options
	flag.StringVar(&o.What, "what", known[0], fmt.Sprint(known))
	flag.IntVar(&o.Workers, "workers", 1, "threads that run goroutines")
	flag.IntVar(&o.N, "n", 10000, "operations a repetition")
	flag.IntVar(&o.Repeat, "repeat", 5, "measured repetitions, after one that is not")
	flag.IntVar(&o.Tasks, "tasks", 1, "goroutines that share the operations")
	flag.StringVar(&o.File, "file", "", "for those that read one")
	flag.Parse()
	for _, name := range known {
		if name == o.What && o.Workers > 0 && o.N > 0 && o.Repeat > 0 && o.Tasks > 0 {
			runtime.GOMAXPROCS(o.Workers)
			return o
		}
	}
	fmt.Fprintln(os.Stderr, "--what is one of", known, "and numbers are above zero")
	os.Exit(2)
	return o
}

// Figures are samples by name, a list each.
type Figures map[string][]float64

func (f Figures) Add(name string, sample float64) { f[name] = append(f[name], sample) }

func (f Figures) Print() {
	line, err := json.Marshal(map[string][]float64(f))
	if err != nil {
		Wrong("the figures: %v", err)
	}
	fmt.Println(string(line))
}

// Repeat calls work once to warm up and then o.Repeat times, and adds its nanoseconds an operation.
func Repeat(o Options, f Figures, operations int, work func()) {
	for i := 0; i <= o.Repeat; i++ {
		begin := time.Now()
		work()
		if i != 0 {
			f.Add("ns", float64(time.Since(begin).Nanoseconds())/float64(operations))
		}
	}
}

// Wrong ends the program: a quick wrong answer must not win.
func Wrong(format string, more ...any) {
	fmt.Fprintf(os.Stderr, "wrong: "+format+"\n", more...)
	os.Exit(1)
}

// Quantile is the sample that share of the others do not exceed; it sorts them.
func Quantile(samples []float64, share float64) float64 {
	sort.Float64s(samples)
	return samples[int(math.Round(share*float64(len(samples)-1)))]
}

// Mixed is a number for each i, the same in every language.
func Mixed(i uint64) uint64 {
	z := (i + 1) * 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// ResidentBytes is what of this process is in memory.
func ResidentBytes() float64 {
	var all, resident float64
	text, err := os.ReadFile("/proc/self/statm")
	if err == nil {
		_, err = fmt.Sscan(string(text), &all, &resident)
	}
	if err != nil {
		Wrong("/proc/self/statm: %v", err)
	}
	return resident * float64(os.Getpagesize())
}

// PageTableBytes is what the kernel holds to know where this process's memory is; not counted as resident.
func PageTableBytes() float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		Wrong("/proc/self/status: %v", err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		var kib float64
		if n, _ := fmt.Sscanf(line, "VmPTE: %f kB", &kib); n == 1 {
			return kib * 1024
		}
	}
	return 0
}

// PeakMB is the most memory that this process ever had.
func PeakMB() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Maxrss) / 1024
}

// CPU is the time of this process and all its threads, in seconds.
func CPU() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return (time.Duration(usage.Utime.Nano()) + time.Duration(usage.Stime.Nano())).Seconds()
}
