// fork_join: recursion with a goroutine a fork. See benchmarks/README.md.
package main

import "compare/measure"

func fib(n int) uint64 {
	if n < 2 {
		return uint64(n)
	}
	first := make(chan uint64, 1)
	go func() { first <- fib(n - 1) }()
	second := fib(n - 2)
	return <-first + second
}

func skynet(first, leaves uint64) uint64 {
	if leaves == 1 {
		return first
	}
	each := leaves / 10
	sums := make(chan uint64, 10)
	for i := uint64(0); i < 10; i++ {
		begin := first + i*each
		go func() { sums <- skynet(begin, each) }()
	}
	sum := uint64(0)
	for i := 0; i < 10; i++ {
		sum += <-sums
	}
	return sum
}

func main() {
	o := measure.Parse("fib", "skynet")
	f := measure.Figures{}
	switch o.What {
	case "fib":
		value := []uint64{0, 1}
		for i := 2; i <= o.N+1; i++ {
			value = append(value, value[i-1]+value[i-2])
		}
		calls := int(2*value[o.N+1] - 1)
		measure.Repeat(o, f, calls, func() {
			if got := fib(o.N); got != value[o.N] {
				measure.Wrong("fib: %d", got)
			}
		})
	case "skynet":
		tasks, n := 0, uint64(o.N)
		for leaves := o.N; leaves != 0; leaves /= 10 {
			tasks += leaves
		}
		measure.Repeat(o, f, tasks, func() {
			if sum := skynet(0, n); sum != n*(n-1)/2 {
				measure.Wrong("skynet: %d", sum)
			}
		})
		f.Add("peak_mb", measure.PeakMB())
	}
	f.Print()
}
