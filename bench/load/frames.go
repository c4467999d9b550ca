package main

import "encoding/binary"

// RFC 6455, section 5.2.
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
	finBit         = 0x80
	maskBit        = 0x80
)

// One key for every frame: it is as random as it has to be here, and lets frames be built once.
var maskKey = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// appendFrame adds a whole frame, masked as clients must.
func appendFrame(to []byte, opcode byte, payload []byte, masked bool) []byte {
	bit := byte(0)
	if masked {
		bit = maskBit
	}
	to = append(to, finBit|opcode)
	switch n := len(payload); {
	case n < 126:
		to = append(to, bit|byte(n))
	case n < 1<<16:
		to = append(to, bit|126)
		to = binary.BigEndian.AppendUint16(to, uint16(n))
	default:
		to = append(to, bit|127)
		to = binary.BigEndian.AppendUint64(to, uint64(n))
	}
	if !masked {
		return append(to, payload...)
	}
	to = append(to, maskKey[:]...)
	at := len(to)
	to = append(to, payload...)
	mask(to[at:], maskKey)
	return to
}

// mask masks or unmasks in place.
func mask(data []byte, key [4]byte) {
	four := uint64(binary.LittleEndian.Uint32(key[:]))
	eight := four<<32 | four
	for len(data) >= 8 {
		binary.LittleEndian.PutUint64(data, binary.LittleEndian.Uint64(data)^eight)
		data = data[8:]
	}
	for i := range data {
		data[i] ^= key[i&3]
	}
}

// frame is one frame's parts, in the buffer that it was read into.
type frame struct {
	opcode  byte
	final   bool
	masked  bool
	payload []byte
	size    int // of the whole frame
}

// parseFrame finds the frame at the beginning of data and unmasks it in place; false when it is not
// there as a whole.
func parseFrame(data []byte) (frame, bool) {
	if len(data) < 2 {
		return frame{}, false
	}
	found := frame{
		opcode: data[0] & 0x0f,
		final:  data[0]&finBit != 0,
		masked: data[1]&maskBit != 0,
	}
	head, length := 2, uint64(data[1]&0x7f)
	switch {
	case length == 126 && len(data) >= 4:
		head, length = 4, uint64(binary.BigEndian.Uint16(data[2:]))
	case length == 127 && len(data) >= 10:
		head, length = 10, binary.BigEndian.Uint64(data[2:])
	case length >= 126:
		return found, false
	}
	at := head
	if found.masked {
		at += 4
	}
	// Subtracted, so that no length can overflow.
	if len(data) < at || uint64(len(data)-at) < length {
		return found, false
	}
	found.size = at + int(length)
	found.payload = data[at:found.size]
	if found.masked {
		mask(found.payload, [4]byte(data[head:at]))
	}
	return found, true
}
