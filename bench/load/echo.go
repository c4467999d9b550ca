package main

import "fmt"

type echoArguments struct {
	Text    string  `json:"text"`
	Answer  *string `json:"answer"`
	Seconds float64 `json:"seconds"`
	Window  int     `json:"window"`
	Limit   float64 `json:"limit"`
}

type echoed struct {
	measured
	P50 float64 `json:"p50Ms"`
	P99 float64 `json:"p99Ms"`
}

// echo sends on every connection, and again whenever an answer came.
func echo(g *generator, line []byte) (any, error) {
	arguments := echoArguments{Window: 1, Seconds: 1, Limit: 10}
	if err := read(line, &arguments); err != nil {
		return nil, err
	}
	s := &g.clients
	answer := arguments.Text
	if arguments.Answer != nil {
		answer = *arguments.Answer
	}
	s.expectPayloads([]string{answer})
	s.stamps = nil
	if err := s.fit(); err != nil {
		return nil, err
	}
	if g.listener != nil {
		g.backends.echo(answer)
		defer func() { g.backends.arrived = nil }()
	}
	e := newEcho(s, arguments.Text, arguments.Window, after(arguments.Seconds))
	s.arrived = e.answered
	defer func() { s.arrived = nil }()
	s.settle()
	m := s.meter()
	for _, c := range s.conns {
		e.send(c, arguments.Window)
	}
	deadline := e.end + int64(arguments.Limit*1e9)
	g.loop.until(deadline, func(int64) (bool, int64) {
		return e.flying <= 0 || s.lost > 0, never
	})
	if s.lost > 0 {
		return nil, s.fit()
	}
	if e.flying < 0 {
		return nil, fmt.Errorf("%d answers more than were asked for", -e.flying)
	}
	if e.flying > 0 {
		return nil, fmt.Errorf("%w: %d answers did not come%s", errLimit, e.flying, s.also())
	}
	s.settle()
	return echoed{m.read(), e.took.percentile(50) / 1e6, e.took.percentile(99) / 1e6}, nil
}

type echoRun struct {
	end    int64
	frames [][]byte // 1 frame, 2 frames, ... in one piece
	flying int
	took   *histogram
}

func newEcho(s *side, text string, window int, end int64) *echoRun {
	e := &echoRun{end: end, took: newHistogram()}
	var all []byte
	for range window {
		all = appendFrame(all, opText, []byte(text), s.masks)
	}
	size := len(all) / max(window, 1)
	for n := range window {
		e.frames = append(e.frames, all[:(n+1)*size])
	}
	for _, c := range s.conns {
		c.times = make([]int64, window)
		c.oldest = 0
	}
	return e
}

// send sends n frames in one piece and notes when. As many as came are sent again, so that the
// places of their times are free.
func (e *echoRun) send(c *conn, n int) {
	at := now()
	for i := range n {
		c.times[(c.oldest+i)%len(c.times)] = at
	}
	c.oldest = (c.oldest + n) % len(c.times)
	e.flying += n
	c.send(e.frames[n-1])
}

// answered takes answers, which come in the order of what was sent.
func (e *echoRun) answered(c *conn, n int) {
	at := now()
	e.flying -= n
	n = min(n, len(c.times))
	for i := range n {
		e.took.add(at - c.times[(c.oldest+i)%len(c.times)])
	}
	if at < e.end {
		e.send(c, n)
	} else {
		c.oldest = (c.oldest + n) % len(c.times)
	}
}
