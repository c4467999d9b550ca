package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// side is all connections of one kind, clients or backends, and what they must receive.
type side struct {
	masks    bool // whether the frames that it sends are masked
	conns    []*conn
	wants    []want
	personal []string // the wants where each connection has its own
	newline  bool
	answers  map[string][]byte
	stamps   *stampReader

	frames uint64
	bytes  uint64
	wrong  uint64
	reads  uint64
	pings  uint64
	sample string

	behind  int // connections that have not reached their target
	lost    int
	why     string
	arrived func(c *conn, n int) // told of every frame that counts; nil mostly
}

// want is one payload that is expected, and the frame that carries it.
type want struct {
	payload []byte
	wire    []byte
}

func (s *side) expectPayloads(payloads []string) {
	s.wants = s.wanted(payloads)
	s.personal = nil
	for _, payload := range payloads {
		if strings.Contains(payload, placeholder) {
			s.personal = payloads
		}
	}
	for _, c := range s.conns {
		c.next = 0
		c.own = nil
	}
	s.mistakes()
}

const placeholder = "{n}"

func (s *side) wanted(payloads []string) []want {
	var wants []want
	for _, payload := range payloads {
		wire := appendFrame(nil, opText, []byte(payload), !s.masks)
		wants = append(wants, want{[]byte(payload), wire})
	}
	return wants
}

// wantsOf gives what one connection must receive: the same as all, or with its number in it.
func (s *side) wantsOf(c *conn) []want {
	if s.personal == nil {
		return s.wants
	}
	if c.own == nil {
		number := strconv.Itoa(c.number)
		var payloads []string
		for _, payload := range s.personal {
			payloads = append(payloads, strings.ReplaceAll(payload, placeholder, number))
		}
		c.own = s.wanted(payloads)
	}
	return c.own
}

// aim lets every connection's target be k frames further on.
func (s *side) aim(k uint64) {
	s.behind = 0
	for _, c := range s.conns {
		c.target += k
		if c.got < c.target {
			s.behind++
		}
	}
}

// settle takes what has come as what was to come.
func (s *side) settle() {
	s.behind = 0
	for _, c := range s.conns {
		c.target = c.got
	}
}

// extra counts the frames that came beyond the targets.
func (s *side) extra() uint64 {
	beyond := uint64(0)
	for _, c := range s.conns {
		if c.got > c.target {
			beyond += c.got - c.target
		}
	}
	return beyond
}

// fit tells why no frames can be counted, if so.
func (s *side) fit() error {
	switch {
	case len(s.conns) == 0:
		return fmt.Errorf("no connection is open")
	case s.lost > 0:
		return fmt.Errorf("%d of %d connections were lost; the first: %s",
			s.lost, len(s.conns), s.why)
	case len(s.wants) == 0 && s.stamps == nil:
		return fmt.Errorf("nothing is expected: `expect` or `stamps` comes first")
	}
	return nil
}

// take counts the messages of one data frame and checks each of them.
func (s *side) take(c *conn, payload []byte) {
	if answer, known := s.answers[string(payload)]; known {
		if len(answer) > 0 {
			c.send(answer)
		}
		return
	}
	n := 0
	for more := true; more; n++ {
		message := payload
		if end := bytes.IndexByte(payload, '\n'); s.newline && end >= 0 {
			message, payload = payload[:end], payload[end+1:]
			// What ends in a newline has no message behind it.
			more = len(payload) > 0
		} else {
			more = false
		}
		s.check(c, message)
	}
	s.count(c, n)
}

func (s *side) check(c *conn, message []byte) {
	s.bytes += uint64(len(message))
	if s.stamps != nil {
		if !s.stamps.take(message) {
			s.mistake(c, "a payload that begins with "+s.stamps.prefix+" and holds \"t\":", message)
		}
		return
	}
	if len(s.wants) == 0 {
		return
	}
	if expected := s.wantsOf(c)[c.next].payload; !bytes.Equal(message, expected) {
		s.mistake(c, string(expected), message)
	}
	s.follow(c)
}

func (s *side) follow(c *conn) {
	if c.next++; c.next == len(s.wants) {
		c.next = 0
	}
}

func (s *side) count(c *conn, n int) {
	s.frames += uint64(n)
	before := c.got
	c.got += uint64(n)
	if before < c.target && c.got >= c.target {
		s.behind--
	}
	if s.arrived != nil {
		s.arrived(c, n)
	}
}

func (s *side) mistake(c *conn, expected string, got []byte) {
	if s.wrong++; s.sample == "" {
		s.sample = fmt.Sprintf("connection %d expected %s but got %s",
			c.number, brief([]byte(expected)), brief(got))
	}
}

// mistakes tells of those that were not told of yet: also what came while no command ran.
func (s *side) mistakes() (uint64, string) {
	wrong, sample := s.wrong, s.sample
	s.wrong, s.sample = 0, ""
	return wrong, sample
}

func (s *side) lose(why string) {
	if s.lost++; s.lost == 1 {
		s.why = why
	}
}

func brief(text []byte) string {
	const shown = 120
	if len(text) > shown {
		return fmt.Sprintf("%q… (%d bytes)", text[:shown], len(text))
	}
	return fmt.Sprintf("%q", text)
}
