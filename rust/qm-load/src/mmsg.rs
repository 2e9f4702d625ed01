//! Many packets in one system call: `sendmmsg` with a source address of its own for each packet (`IP_PKTINFO`),
//! `recvmmsg` with the kernel's arrival time and the address each packet was sent to.
//!
//! So two sockets serve any number of phones: every phone has its own loopback address, and the program under test
//! sees as many different media addresses as there are calls. All `unsafe` of packet I/O is in this file.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, RawFd};

use libc::{c_void, cmsghdr, in_pktinfo, iovec, mmsghdr, msghdr, sockaddr_in, timespec};
use socket2::{Domain, Protocol, Socket, Type};

const BATCH: usize = 64;
const LARGEST: usize = 2048;
/// Bytes of ancillary data per packet: pktinfo (28), timestamp (32), overflow counter (20), each padded to 8.
const CONTROL: usize = 128;

/// Ancillary data must be aligned as the kernel's `cmsghdr` is.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

fn to_sockaddr(address: SocketAddrV4) -> sockaddr_in {
    sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
        sin_zero: [0; 8],
    }
}

fn from_in_addr(address: libc::in_addr) -> Ipv4Addr {
    Ipv4Addr::from(u32::from_be(address.s_addr))
}

/// One UDP socket for all media of one side. It is bound to every address of the loopback device, and only there.
pub fn media_socket(port: u16) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind_device(Some(b"lo"))?;
    socket.set_recv_buffer_size(8 << 20)?;
    socket.set_send_buffer_size(4 << 20)?;
    socket.set_nonblocking(true)?;
    for (level, name) in [
        (libc::IPPROTO_IP, libc::IP_PKTINFO),
        (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS),
        (libc::SOL_SOCKET, libc::SO_RXQ_OVFL),
    ] {
        switch_on(socket.as_raw_fd(), level, name)?;
    }
    let everywhere = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port);
    socket.bind(&everywhere.into()).map_err(|error| named(everywhere, &error))?;
    Ok(socket)
}

/// Which address it was that could not be had.
pub fn named(address: SocketAddrV4, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{address}: {error}"))
}

fn switch_on(fd: RawFd, level: i32, name: i32) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option value is one c_int, alive for the call, and its length is given.
    let result =
        unsafe { libc::setsockopt(fd, level, name, (&raw const on).cast(), size_of::<libc::c_int>() as u32) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Packets waiting to leave in one call.
pub struct Outbox {
    packets: Vec<[u8; crate::rtp::PACKET]>,
    to: Vec<sockaddr_in>,
    control: Vec<Control>,
    vectors: Vec<iovec>,
    headers: Vec<mmsghdr>,
    waiting: usize,
    pub sent: u64,
    /// Packets the kernel would not take from us: our own fault, never the fault of the program under test.
    pub refused: u64,
}

impl Outbox {
    pub fn new() -> Self {
        // SAFETY: all-zero is a valid value of these plain C structs.
        let (to, vector, header) = unsafe { (zeroed(), zeroed(), zeroed()) };
        Outbox {
            packets: vec![[0; crate::rtp::PACKET]; BATCH],
            to: vec![to; BATCH],
            control: vec![Control([0; CONTROL]); BATCH],
            vectors: vec![vector; BATCH],
            headers: vec![header; BATCH],
            waiting: 0,
            sent: 0,
            refused: 0,
        }
    }

    /// Room for the next packet, which will leave from `source` for `to` at the next flush.
    pub fn next(&mut self, source: Ipv4Addr, to: SocketAddrV4) -> &mut [u8; crate::rtp::PACKET] {
        debug_assert!(self.waiting < BATCH);
        let at = self.waiting;
        self.waiting += 1;
        self.to[at] = to_sockaddr(to);
        let info = in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: libc::in_addr { s_addr: u32::from(source).to_be() },
            ipi_addr: libc::in_addr { s_addr: 0 },
        };
        let header = self.control[at].0.as_mut_ptr().cast::<cmsghdr>();
        // SAFETY: `Control` is aligned for a cmsghdr and longer than CMSG_SPACE of an in_pktinfo (28 bytes).
        unsafe {
            (*header).cmsg_len = libc::CMSG_LEN(size_of::<in_pktinfo>() as u32) as _;
            (*header).cmsg_level = libc::IPPROTO_IP;
            (*header).cmsg_type = libc::IP_PKTINFO;
            libc::CMSG_DATA(header).cast::<in_pktinfo>().write_unaligned(info);
        }
        &mut self.packets[at]
    }

    pub fn is_full(&self) -> bool {
        self.waiting == BATCH
    }

    /// Send everything that waits. A packet the kernel refuses is counted and skipped.
    pub fn flush(&mut self, socket: &Socket) {
        self.point();
        let mut done = 0;
        while done < self.waiting {
            let left = (self.waiting - done) as u32;
            // SAFETY: `point` has made headers[..waiting] refer to buffers of ours that outlive this call.
            let count = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    self.headers[done..].as_mut_ptr(),
                    left,
                    libc::MSG_DONTWAIT,
                )
            };
            if count > 0 {
                self.sent += count as u64;
                done += count as usize;
            } else {
                self.refused += 1;
                done += 1;
            }
        }
        self.waiting = 0;
    }

    fn point(&mut self) {
        // SAFETY: CMSG_SPACE only computes a length.
        let control = unsafe { libc::CMSG_SPACE(size_of::<in_pktinfo>() as u32) } as usize;
        for at in 0..self.waiting {
            self.vectors[at] =
                iovec { iov_base: self.packets[at].as_mut_ptr().cast(), iov_len: crate::rtp::PACKET };
            self.headers[at].msg_hdr =
                message(&mut self.to[at], &mut self.vectors[at], &mut self.control[at], control);
        }
    }
}

fn message(name: &mut sockaddr_in, vector: &mut iovec, control: &mut Control, length: usize) -> msghdr {
    // SAFETY: all-zero is a valid msghdr; the fields that matter are set below.
    let mut header: msghdr = unsafe { zeroed() };
    header.msg_name = (name as *mut sockaddr_in).cast::<c_void>();
    header.msg_namelen = size_of::<sockaddr_in>() as u32;
    header.msg_iov = vector;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = length as _;
    header
}

/// One packet that arrived: at which of our addresses, when (CLOCK_REALTIME, by the kernel), and what.
pub struct Arrived<'a> {
    pub at: Ipv4Addr,
    pub when: u64,
    pub data: &'a [u8],
}

/// Buffers for what arrives.
pub struct Inbox {
    buffers: Vec<[u8; LARGEST]>,
    from: Vec<sockaddr_in>,
    control: Vec<Control>,
    vectors: Vec<iovec>,
    headers: Vec<mmsghdr>,
    /// Packets the kernel dropped because we did not read in time (`SO_RXQ_OVFL`): our own fault.
    pub overflowed: u64,
}

impl Inbox {
    pub fn new() -> Self {
        // SAFETY: all-zero is a valid value of these plain C structs.
        let (from, vector, header) = unsafe { (zeroed(), zeroed(), zeroed()) };
        Inbox {
            buffers: vec![[0; LARGEST]; BATCH],
            from: vec![from; BATCH],
            control: vec![Control([0; CONTROL]); BATCH],
            vectors: vec![vector; BATCH],
            headers: vec![header; BATCH],
            overflowed: 0,
        }
    }

    /// Hand everything that has arrived to `take`.
    pub fn drain(&mut self, socket: &Socket, mut take: impl FnMut(Arrived)) {
        loop {
            let count = self.receive(socket);
            for at in 0..count {
                let length = self.headers[at].msg_len as usize;
                let (local, when, overflowed) = ancillary(&self.headers[at].msg_hdr);
                self.overflowed = self.overflowed.max(overflowed);
                take(Arrived { at: local, when, data: &self.buffers[at][..length] });
            }
            if count < BATCH {
                return;
            }
        }
    }

    fn receive(&mut self, socket: &Socket) -> usize {
        for at in 0..BATCH {
            self.vectors[at] = iovec { iov_base: self.buffers[at].as_mut_ptr().cast(), iov_len: LARGEST };
            self.headers[at].msg_hdr =
                message(&mut self.from[at], &mut self.vectors[at], &mut self.control[at], CONTROL);
        }
        // SAFETY: every header refers to buffers of ours with their true lengths, alive for the call.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH as u32,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        usize::try_from(count).unwrap_or(0)
    }
}

/// Which address of ours, when, and how many the socket has dropped so far.
fn ancillary(header: &msghdr) -> (Ipv4Addr, u64, u64) {
    let (mut local, mut when, mut overflowed) = (Ipv4Addr::UNSPECIFIED, 0, 0);
    // SAFETY: the kernel has filled `header`; CMSG_FIRSTHDR/NXTHDR stay within its control buffer, and each value is
    // read unaligned as the type that its level and type name.
    unsafe {
        let mut part = libc::CMSG_FIRSTHDR(header);
        while !part.is_null() {
            let data = libc::CMSG_DATA(part);
            match ((*part).cmsg_level, (*part).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    local = from_in_addr(data.cast::<in_pktinfo>().read_unaligned().ipi_addr);
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let spec = data.cast::<timespec>().read_unaligned();
                    when = spec.tv_sec as u64 * 1_000_000_000 + spec.tv_nsec as u64;
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    overflowed = u64::from(data.cast::<u32>().read_unaligned());
                }
                _ => {}
            }
            part = libc::CMSG_NXTHDR(header, part);
        }
    }
    (local, when, overflowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_arrives_with_its_destination_and_its_arrival_time() {
        let (first, second) = (media_socket(0).unwrap(), media_socket(0).unwrap());
        let port = |s: &Socket| s.local_addr().unwrap().as_socket_ipv4().unwrap().port();
        let (source, target) = (Ipv4Addr::new(127, 20, 0, 9), Ipv4Addr::new(127, 40, 0, 7));
        let before = crate::clock::realtime();
        let mut outbox = Outbox::new();
        outbox.next(source, SocketAddrV4::new(target, port(&second)))[0] = 42;
        outbox.flush(&first);
        assert_eq!((outbox.sent, outbox.refused), (1, 0));
        let mut seen = Vec::new();
        Inbox::new().drain(&second, |packet| {
            assert!(packet.when >= before && packet.when <= crate::clock::realtime());
            seen.push((packet.at, packet.data[0], packet.data.len()));
        });
        assert_eq!(seen, [(target, 42, crate::rtp::PACKET)]);
    }

    #[test]
    fn each_packet_leaves_from_the_address_that_was_asked_for() {
        let sender = media_socket(0).unwrap();
        let listener = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = match listener.local_addr().unwrap() {
            std::net::SocketAddr::V4(address) => address,
            std::net::SocketAddr::V6(_) => unreachable!("bound to IPv4"),
        };
        let sources = [Ipv4Addr::new(127, 20, 0, 9), Ipv4Addr::new(127, 20, 1, 9)];
        let mut outbox = Outbox::new();
        for source in sources {
            outbox.next(source, to);
        }
        outbox.flush(&sender);
        for source in sources {
            assert_eq!(listener.recv_from(&mut [0; 200]).unwrap().1.ip(), source);
        }
    }
}
