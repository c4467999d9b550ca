package main

import (
	"fmt"
	"net/netip"
	"syscall"
	"unsafe"
)

// recv and send are raw: no call here may block, so the scheduler need not know of them.
func recv(fd int, into []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd),
		uintptr(unsafe.Pointer(&into[0])), uintptr(len(into)))
	return int(n), errno
}

func send(fd int, data []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd),
		uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)), syscall.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

const (
	ipBindAddressNoPort = 24
	// The usual range of local ports is larger, but others use it, too.
	connectionsPerSource = 20_000
)

func parseAddress(text string) (netip.AddrPort, error) {
	address, err := netip.ParseAddrPort(text)
	if err != nil || !address.Addr().Is4() {
		return address, fmt.Errorf("address %q: expected an IPv4 address and a port", text)
	}
	return address, nil
}

func sockaddr(address netip.AddrPort) *syscall.SockaddrInet4 {
	return &syscall.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()}
}

// dial begins a connection; nth chooses among the source addresses of loopback.
func dial(address netip.AddrPort, nth int) (int, error) {
	fd, err := tcpSocket()
	if err != nil {
		return -1, err
	}
	if source := nth / connectionsPerSource; source > 0 && address.Addr().IsLoopback() {
		syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, ipBindAddressNoPort, 1)
		from := &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 1, byte(source)}}
		if err := syscall.Bind(fd, from); err != nil {
			syscall.Close(fd)
			return -1, err
		}
	}
	if err := syscall.Connect(fd, sockaddr(address)); err != nil && err != syscall.EINPROGRESS {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

func listen(address netip.AddrPort) (int, netip.AddrPort, error) {
	fd, err := tcpSocket()
	if err != nil {
		return -1, address, err
	}
	syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err := syscall.Bind(fd, sockaddr(address)); err != nil {
		syscall.Close(fd)
		return -1, address, err
	}
	if err := syscall.Listen(fd, 4096); err != nil {
		syscall.Close(fd)
		return -1, address, err
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		syscall.Close(fd)
		return -1, address, err
	}
	port := uint16(bound.(*syscall.SockaddrInet4).Port)
	return fd, netip.AddrPortFrom(address.Addr(), port), nil
}

func tcpSocket() (int, error) {
	fd, err := syscall.Socket(syscall.AF_INET,
		syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err == nil {
		noDelay(fd)
	}
	return fd, err
}

func noDelay(fd int) { syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1) }

// connectError tells why a connection that was begun did not come about.
func connectError(fd int) error {
	number, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ERROR)
	if err == nil && number != 0 {
		err = syscall.Errno(number)
	}
	return err
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return seconds(usage.Utime.Nano() + usage.Stime.Nano())
}
