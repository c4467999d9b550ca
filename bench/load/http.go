package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

type httpArguments struct {
	Address     string            `json:"address"`
	Method      string            `json:"method"`
	Path        string            `json:"path"`
	Headers     map[string]string `json:"headers"`
	Type        string            `json:"type"`
	Body        string            `json:"body"`
	Bodies      []string          `json:"bodies"`
	Connections int               `json:"connections"`
	Count       int               `json:"count"`
	Seconds     float64           `json:"seconds"`
	Rate        float64           `json:"rate"`
	Status      int               `json:"status"`
	Await       uint64            `json:"await"`
	Limit       float64           `json:"limit"`
}

type httpMeasured struct {
	Requests    int            `json:"requests"`
	Wrong       int            `json:"wrong"`
	Sample      string         `json:"sample"`
	Seconds     float64        `json:"seconds"` // until the last response
	Reconnected int            `json:"reconnected"`
	P50         float64        `json:"p50Ms"`
	P99         float64        `json:"p99Ms"`
	Frames      *measured      `json:"frames"` // until the last frame that was awaited
	CPUSeconds  float64        `json:"cpuSeconds"`
	Statuses    map[string]int `json:"statuses"`
}

// httpRun sends requests on connections that are kept alive: the next one on a connection when its
// response has come (a closed loop), or when it is due at the rate that is asked for.
type httpRun struct {
	g         *generator
	arguments httpArguments
	address   netip.AddrPort
	requests  []request
	free      []*httpConn
	all       []*httpConn

	began    int64
	stop     int64 // no request begins later
	last     int64
	sent     int
	answered int
	failed   error
	result   httpMeasured
	took     *histogram
}

// httpLoad sends requests, and waits for the frames that they bring to the clients if told so.
func httpLoad(g *generator, line []byte) (any, error) {
	h := &httpRun{g: g, took: newHistogram(), stop: never}
	h.arguments = httpArguments{
		Method: "GET", Path: "/", Type: "application/json", Connections: 1, Status: 200, Limit: 60,
	}
	if err := read(line, &h.arguments); err != nil {
		return nil, err
	}
	if err := h.prepare(); err != nil {
		return nil, err
	}
	defer h.close()
	m := g.clients.meter()
	h.began = now()
	if h.arguments.Seconds > 0 {
		h.stop = after(h.arguments.Seconds)
	}
	deadline := after(h.arguments.Limit)
	if err := h.run(deadline); err != nil {
		return nil, err
	}
	if h.arguments.Await > 0 {
		if err := g.gather(h.arguments.Await, deadline); err != nil {
			return nil, err
		}
		frames := m.read()
		h.result.Frames = &frames
	}
	h.result.Requests = h.answered
	h.result.Seconds = seconds(h.last - h.began)
	h.result.P50 = h.took.percentile(50) / 1e6
	h.result.P99 = h.took.percentile(99) / 1e6
	h.result.CPUSeconds = cpuSeconds() - m.cpu
	return h.result, nil
}

func (h *httpRun) prepare() error {
	a := &h.arguments
	var err error
	if h.address, err = parseAddress(a.Address); err != nil {
		return err
	}
	if a.Count <= 0 && a.Seconds <= 0 {
		return fmt.Errorf("either count or seconds is needed")
	}
	if a.Await > 0 {
		if err := h.g.clients.fit(); err != nil {
			return err
		}
	}
	if len(a.Bodies) == 0 {
		a.Bodies = []string{a.Body}
	}
	for _, body := range a.Bodies {
		h.requests = append(h.requests, newRequest(a, body))
	}
	h.result.Statuses = map[string]int{}
	for range a.Connections {
		c := &httpConn{of: h, fd: -1}
		h.all = append(h.all, c)
		if err := c.open(); err != nil {
			return err
		}
	}
	return nil
}

func (h *httpRun) run(deadline int64) error {
	inTime := h.g.loop.until(deadline, func(at int64) (bool, int64) {
		again := h.begin(at)
		over := h.failed != nil || (h.sent == h.answered && h.ended(at))
		return over, again
	})
	if h.failed != nil {
		return h.failed
	}
	if !inTime {
		return fmt.Errorf("%w: %d of %d responses are missing", errLimit, h.sent-h.answered, h.sent)
	}
	return nil
}

func (h *httpRun) ended(at int64) bool {
	return at >= h.stop || (h.arguments.Count > 0 && h.sent >= h.arguments.Count)
}

// begin sends what is due on the free connections; it tells when the next request is due.
func (h *httpRun) begin(at int64) int64 {
	for !h.ended(at) {
		due := at
		if h.arguments.Rate > 0 {
			due = h.began + int64(float64(h.sent)/h.arguments.Rate*1e9)
			if due > at {
				return min(due, h.stop)
			}
		}
		if len(h.free) == 0 {
			return h.stop
		}
		c := h.free[len(h.free)-1]
		h.free = h.free[:len(h.free)-1]
		// Counted from when it was due: a late start is the server's delay, too.
		c.begin(due)
	}
	return never
}

func (h *httpRun) mistake(status int, response []byte) {
	if h.result.Wrong++; h.result.Wrong == 1 {
		h.result.Sample = fmt.Sprintf("expected status %d but got %d: %s",
			h.arguments.Status, status, brief(response))
	}
}

func (h *httpRun) close() {
	for _, c := range h.all {
		if c.fd >= 0 {
			h.g.loop.drop(c.fd)
		}
	}
}

// request is built once; where it says {t} in its body, the time of sending goes.
type request struct {
	text  []byte
	times []int
}

const stampDigits = 19 // of Unix time in nanoseconds, until the year 2286

func newRequest(a *httpArguments, body string) request {
	parts := strings.Split(body, "{t}")
	size := len(strings.Join(parts, "")) + stampDigits*(len(parts)-1)
	var r request
	text := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\n", a.Method, a.Path, a.Address)
	if size > 0 || a.Method == "POST" || a.Method == "PUT" {
		text = fmt.Appendf(text, "Content-Type: %s\r\nContent-Length: %d\r\n", a.Type, size)
	}
	for name, value := range a.Headers {
		text = fmt.Appendf(text, "%s: %s\r\n", name, value)
	}
	text = append(text, "\r\n"...)
	for i, part := range parts {
		if i > 0 {
			r.times = append(r.times, len(text))
			text = append(text, make([]byte, stampDigits)...)
		}
		text = append(text, part...)
	}
	r.text = text
	return r
}

func (r request) stamped() []byte {
	if len(r.times) > 0 {
		var digits [stampDigits]byte
		strconv.AppendInt(digits[:0], time.Now().UnixNano(), 10)
		for _, at := range r.times {
			copy(r.text[at:], digits[:])
		}
	}
	return r.text
}
