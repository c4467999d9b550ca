package main

import (
	"bytes"
	"time"
)

// stampReader takes payloads that tell when they were sent, as `"t":<Unix time in nanoseconds>`.
type stampReader struct {
	prefix string
	took   *histogram
}

var stampKey = []byte(`"t":`)

type stampsArguments struct {
	Begin  bool   `json:"begin"`
	Prefix string `json:"prefix"`
}

// stamps begins a measurement of latency, or tells its result and ends it.
func stamps(g *generator, line []byte) (any, error) {
	var arguments stampsArguments
	if err := read(line, &arguments); err != nil {
		return nil, err
	}
	s := &g.clients
	if arguments.Begin {
		s.stamps = &stampReader{arguments.Prefix, newHistogram()}
		return map[string]any{}, nil
	}
	took := newHistogram()
	if s.stamps != nil {
		took = s.stamps.took
	}
	s.stamps = nil
	wrong, sample := s.mistakes()
	return map[string]any{
		"count":  took.total,
		"wrong":  wrong,
		"sample": sample,
		"p50Us":  took.percentile(50) / 1e3,
		"p90Us":  took.percentile(90) / 1e3,
		"p99Us":  took.percentile(99) / 1e3,
		"maxUs":  float64(took.max) / 1e3,
	}, nil
}

// take is false for a payload without a time.
func (r *stampReader) take(payload []byte) bool {
	if !bytes.HasPrefix(payload, []byte(r.prefix)) {
		return false
	}
	at := bytes.Index(payload, stampKey)
	if at < 0 {
		return false
	}
	sent := int64(0)
	for _, digit := range bytes.TrimLeft(payload[at+len(stampKey):], " ") {
		if digit < '0' || digit > '9' {
			break
		}
		sent = sent*10 + int64(digit-'0')
	}
	if sent == 0 {
		return false
	}
	r.took.add(time.Now().UnixNano() - sent)
	return true
}
