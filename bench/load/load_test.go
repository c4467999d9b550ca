package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestAFrameIsReadAsItWasBuilt(t *testing.T) {
	for _, size := range []int{0, 1, 125, 126, 65535, 65536, 200_000} {
		for _, masked := range []bool{false, true} {
			payload := bytes.Repeat([]byte("abcdefg"), size/7+1)[:size]
			wire := appendFrame(nil, opText, payload, masked)
			found, whole := parseFrame(append(bytes.Clone(wire), "next"...))
			if !whole || found.size != len(wire) || found.masked != masked ||
				found.opcode != opText || !found.final || !bytes.Equal(found.payload, payload) {
				t.Errorf("%d bytes, masked %v: %+v %v", size, masked, found.size, whole)
			}
			for _, cut := range []int{0, 1, 3, 9, len(wire) - 1} {
				if cut < len(wire) {
					if _, whole := parseFrame(wire[:cut]); whole {
						t.Errorf("%d bytes cut at %d are taken for whole", size, cut)
					}
				}
			}
		}
	}
}

func TestALengthThatNoBufferHoldsIsNeverWhole(t *testing.T) {
	data := []byte{0x81, 127, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3}
	if _, whole := parseFrame(data); whole {
		t.Error("taken for whole")
	}
}

// open gives a connection that never touches a socket.
func open(masks bool) (*side, *conn) {
	s := &side{masks: masks}
	c := &conn{side: s}
	s.conns = []*conn{c}
	return s, c
}

func TestWhatComesIsTheSameHoweverItIsCut(t *testing.T) {
	payloads := []string{"one", strings.Repeat("two", 300), "three"}
	for _, masks := range []bool{false, true} {
		var stream []byte
		for n := range 30 {
			stream = appendFrame(stream, opText, []byte(payloads[n%3]), !masks)
			stream = appendFrame(stream, opPong, []byte("?"), !masks)
		}
		for piece := 1; piece < 400; piece += 7 {
			s, c := open(masks)
			s.expectPayloads(payloads)
			s.aim(30)
			// Unmasking is in place, so every try takes a copy.
			for rest := bytes.Clone(stream); len(rest) > 0; {
				n := min(piece, len(rest))
				c.take(rest[:n])
				rest = rest[n:]
			}
			if s.frames != 30 || s.bytes != 10*(3+900+5) || s.wrong != 0 || s.behind != 0 {
				t.Fatalf("pieces of %d: %d frames, %d bytes, %d wrong, %d behind: %s",
					piece, s.frames, s.bytes, s.wrong, s.behind, s.sample)
			}
		}
	}
}

func TestEveryByteIsChecked(t *testing.T) {
	good := appendFrame(nil, opText, []byte("hello"), false)
	for at := 2; at < len(good); at++ {
		s, c := open(true)
		s.expectPayloads([]string{"hello"})
		bad := bytes.Clone(good)
		bad[at] ^= 1
		c.take(bad)
		if s.frames != 1 || s.wrong != 1 || !strings.Contains(s.sample, `expected "hello"`) {
			t.Errorf("byte %d: %d frames, %d wrong, %s", at, s.frames, s.wrong, s.sample)
		}
	}
}

func TestEachConnectionMayHaveItsOwnMessages(t *testing.T) {
	s, c := open(true)
	c.number = 7
	s.expectPayloads([]string{"for {n}"})
	c.take(appendFrame(nil, opText, []byte("for 7"), false))
	if s.wrong != 0 {
		t.Error(s.sample)
	}
	c.take(appendFrame(nil, opText, []byte("for 8"), false))
	if s.wrong != 1 {
		t.Error("another's message is taken")
	}
}

func TestAMaskedFrameFromAServerIsWrong(t *testing.T) {
	s, c := open(true)
	s.expectPayloads([]string{"hello"})
	c.take(appendFrame(nil, opText, []byte("hello"), true))
	if s.wrong != 1 {
		t.Error("taken")
	}
}

func TestAFrameMayHoldSeveralMessages(t *testing.T) {
	s, c := open(true)
	s.expectPayloads([]string{"a", "b"})
	s.newline = true
	c.take(appendFrame(nil, opText, []byte("a\nb\na"), false))
	c.take(appendFrame(nil, opText, []byte("b\n"), false))
	c.take(appendFrame(nil, opText, []byte("a"), false))
	if s.frames != 5 || s.wrong != 0 || s.bytes != 5 {
		t.Errorf("%d messages, %d wrong, %d bytes", s.frames, s.wrong, s.bytes)
	}
}

func TestStampsAreRead(t *testing.T) {
	r := stampReader{`{"`, newHistogram()}
	if !r.take([]byte(`{"t":1700000000000000000,"more":1}`)) || r.took.total != 1 {
		t.Error("a time is not found")
	}
	for _, wrong := range []string{`{"x":1}`, `["t":1700000000000000000]`, `{"t":"now"}`} {
		if r.take([]byte(wrong)) {
			t.Errorf("%s is taken", wrong)
		}
	}
}

func TestAHistogramIsRightToOnePercent(t *testing.T) {
	h := newHistogram()
	for n := int64(1); n <= 100_000; n++ {
		h.add(n * 1000)
	}
	for _, percent := range []float64{1, 50, 90, 99, 100} {
		exact := percent * 1e6
		if got := h.percentile(percent); got < exact*0.99 || got > exact*1.01 {
			t.Errorf("p%v is %v, not %v", percent, got, exact)
		}
	}
	if newHistogram().percentile(50) != 0 {
		t.Error("nothing has a percentile")
	}
}

func TestAResponseIsWholeOrNot(t *testing.T) {
	for text, status := range map[string]int{
		"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}":                      202,
		"HTTP/1.1 204 No Content\r\n\r\n":                                           204,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n": 200,
	} {
		if got, size := response([]byte(text)); got != status || size != len(text) {
			t.Errorf("%q: %d, %d bytes", text, got, size)
		}
		if _, size := response([]byte(text[:len(text)-1])); size != 0 {
			t.Errorf("%q is taken for whole", text[:len(text)-1])
		}
	}
}

func TestARequestTellsWhenItWasSent(t *testing.T) {
	a := &httpArguments{Method: "POST", Path: "/p", Address: "h:1", Type: "text/plain"}
	text := string(newRequest(a, `{"t":{t},"n":0000000000000000000}`).stamped())
	_, body, _ := strings.Cut(text, "\r\n\r\n")
	if !strings.HasPrefix(body, `{"t":1`) || !strings.HasSuffix(body, `,"n":0000000000000000000}`) ||
		!strings.Contains(text, "Content-Length: 49\r\n") {
		t.Error(text)
	}
}
