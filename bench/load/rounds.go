package main

import "fmt"

// measured is what a command saw, in units that its JSON names tell.
type measured struct {
	Seconds    float64 `json:"seconds"`
	Frames     uint64  `json:"frames"`
	Bytes      uint64  `json:"bytes"` // of payload
	Wrong      uint64  `json:"wrong"`
	Sample     string  `json:"sample"`     // the first wrong one
	Extra      uint64  `json:"extra"`      // more than were waited for
	Reads      uint64  `json:"reads"`      // system calls that brought something
	CPUSeconds float64 `json:"cpuSeconds"` // of this process
}

// meter reads a side's counters at a command's beginning and end.
type meter struct {
	side                 *side
	began                int64
	frames, bytes, reads uint64
	cpu                  float64
}

func (s *side) meter() meter {
	return meter{s, now(), s.frames, s.bytes, s.reads, cpuSeconds()}
}

func (m meter) read() measured {
	s := m.side
	wrong, sample := s.mistakes()
	return measured{
		Seconds:    seconds(now() - m.began),
		Frames:     s.frames - m.frames,
		Bytes:      s.bytes - m.bytes,
		Wrong:      wrong,
		Sample:     sample,
		Extra:      s.extra(),
		Reads:      s.reads - m.reads,
		CPUSeconds: cpuSeconds() - m.cpu,
	}
}

type expectArguments struct {
	Payload  *string           `json:"payload"`
	Payloads []string          `json:"payloads"`
	Newline  bool              `json:"newline"`
	Answers  map[string]string `json:"answers"`
}

func expect(g *generator, line []byte) (any, error) {
	var arguments expectArguments
	if err := read(line, &arguments); err != nil {
		return nil, err
	}
	if arguments.Payload != nil {
		arguments.Payloads = []string{*arguments.Payload}
	}
	s := &g.clients
	s.expectPayloads(arguments.Payloads)
	s.newline = arguments.Newline
	s.stamps = nil
	s.answers = map[string][]byte{}
	for payload, answer := range arguments.Answers {
		s.answers[payload] = nil
		if answer != "" {
			s.answers[payload] = appendFrame(nil, opText, []byte(answer), true)
		}
	}
	return map[string]any{}, nil
}

// message is what a client says to let a round begin.
type message struct {
	Connection int    `json:"connection"`
	Text       string `json:"text"`
}

func (m *message) frame(s *side) ([]byte, error) {
	if m == nil {
		return nil, nil
	}
	if m.Connection < 0 || m.Connection >= len(s.conns) {
		return nil, fmt.Errorf("there is no connection %d", m.Connection)
	}
	return appendFrame(nil, opText, []byte(m.Text), s.masks), nil
}

type roundArguments struct {
	Frames uint64   `json:"frames"`
	Send   *message `json:"send"`
	Limit  float64  `json:"limit"`
}

func round(g *generator, line []byte) (any, error) {
	arguments := roundArguments{Frames: 1, Limit: 10}
	if err := read(line, &arguments); err != nil {
		return nil, err
	}
	done, err := g.play(series{1, arguments.Frames, arguments.Send, 0}, arguments.Limit)
	if err != nil {
		return nil, err
	}
	return done.measured, nil
}

type roundsArguments struct {
	Count  int      `json:"count"`
	Frames uint64   `json:"frames"`
	Send   *message `json:"send"`
	Pause  float64  `json:"pause"`
	Limit  float64  `json:"limit"`
}

func rounds(g *generator, line []byte) (any, error) {
	arguments := roundsArguments{Count: 1, Frames: 1, Limit: 60}
	if err := read(line, &arguments); err != nil {
		return nil, err
	}
	plan := series{arguments.Count, arguments.Frames, arguments.Send, arguments.Pause}
	return g.play(plan, arguments.Limit)
}

// series is rounds one after the other; pause is in seconds.
type series struct {
	count  int
	frames uint64
	send   *message
	pause  float64
}

// played is what a series took; percentiles are of single rounds.
type played struct {
	measured
	Rounds int     `json:"rounds"`
	P50    float64 `json:"p50Ms"`
	P99    float64 `json:"p99Ms"`
}

// play sends, waits until every connection has its frames, and again.
func (g *generator) play(plan series, limit float64) (played, error) {
	s := &g.clients
	if err := s.fit(); err != nil {
		return played{}, err
	}
	frame, err := plan.send.frame(s)
	if err != nil {
		return played{}, err
	}
	took := newHistogram()
	m := s.meter()
	deadline := after(limit)
	for done := range plan.count {
		began := now()
		s.aim(plan.frames)
		if frame != nil {
			s.conns[plan.send.Connection].send(frame)
		}
		if err := g.reach(s, deadline); err != nil {
			return played{}, fmt.Errorf("round %d of %d: %w", done+1, plan.count, err)
		}
		took.add(now() - began)
		if plan.pause > 0 && done+1 < plan.count {
			g.rest(plan.pause)
		}
	}
	return played{m.read(), plan.count, took.percentile(50) / 1e6, took.percentile(99) / 1e6}, nil
}

// reach waits until a side's connections have reached their targets.
func (g *generator) reach(s *side, deadline int64) error {
	g.loop.until(deadline, func(int64) (bool, int64) {
		return s.behind == 0 || s.lost > 0, never
	})
	if s.lost > 0 {
		return s.fit()
	}
	if s.behind > 0 {
		return fmt.Errorf("%w: %d of %d connections have not got their frames%s",
			errLimit, s.behind, len(s.conns), s.also())
	}
	return nil
}

// also tells of a wrong frame where the right one is missing.
func (s *side) also() string {
	_, sample := s.mistakes()
	if sample == "" {
		return ""
	}
	return "; and " + sample
}

// rest reads on for some seconds.
func (g *generator) rest(pause float64) {
	g.loop.until(after(pause), func(int64) (bool, int64) { return false, never })
}

type awaitArguments struct {
	Frames uint64  `json:"frames"`
	Limit  float64 `json:"limit"`
}

// await waits for a number of frames on all connections together.
func await(g *generator, line []byte) (any, error) {
	arguments := awaitArguments{Limit: 10}
	if err := read(line, &arguments); err != nil {
		return nil, err
	}
	s := &g.clients
	if err := s.fit(); err != nil {
		return nil, err
	}
	m := s.meter()
	if err := g.gather(arguments.Frames, after(arguments.Limit)); err != nil {
		return nil, err
	}
	return m.read(), nil
}

// gather waits until so many frames have come since what was last waited for.
func (g *generator) gather(frames uint64, deadline int64) error {
	s := &g.clients
	missing := int64(frames) - int64(s.extra())
	goal := int64(s.frames) + missing
	reached := g.loop.until(deadline, func(int64) (bool, int64) {
		return int64(s.frames) >= goal || s.lost > 0, never
	})
	if s.lost > 0 {
		return s.fit()
	}
	if !reached {
		return fmt.Errorf("%w: %d of %d frames are missing%s",
			errLimit, goal-int64(s.frames), frames, s.also())
	}
	s.settle()
	return nil
}

func status(g *generator, line []byte) (any, error) {
	if err := read(line, &struct{}{}); err != nil {
		return nil, err
	}
	return map[string]any{
		"clients":  len(g.clients.conns) - g.clients.lost,
		"backends": len(g.backends.conns) - g.backends.lost,
		"lost":     g.clients.lost + g.backends.lost,
		"waiting":  g.clients.extra(),
		"wrong":    g.clients.wrong + g.backends.wrong,
		"pings":    g.clients.pings + g.backends.pings,
	}, nil
}
