package main

import (
	"math"
	"math/bits"
)

// histogram counts nanoseconds in steps of less than one per cent, without allocating.
type histogram struct {
	counts [64 << stepBits]uint64
	total  uint64
	max    int64
}

const stepBits = 7

func newHistogram() *histogram { return &histogram{} }

func (h *histogram) add(nanoseconds int64) {
	nanoseconds = max(nanoseconds, 0)
	h.counts[bucket(nanoseconds)]++
	h.total++
	h.max = max(h.max, nanoseconds)
}

// bucket keeps the highest bit's place and the stepBits bits below it.
func bucket(value int64) int {
	shift := max(bits.Len64(uint64(value))-1-stepBits, 0)
	return shift<<stepBits + int(value>>shift)
}

// lowest is the smallest value of a bucket.
func lowest(bucket int) int64 {
	shift := max(bucket>>stepBits-1, 0)
	return int64(bucket-shift<<stepBits) << shift
}

// percentile gives nanoseconds, by nearest rank; 0 when nothing was added.
func (h *histogram) percentile(percent float64) float64 {
	rank := max(1, uint64(math.Ceil(percent/100*float64(h.total))))
	seen := uint64(0)
	for i, count := range h.counts {
		if seen += count; seen >= rank {
			return float64(min(lowest(i+1), h.max))
		}
	}
	return 0
}
