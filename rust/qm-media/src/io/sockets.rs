//! RTP and RTCP sockets: a pair for each leg, watched by epoll, with arrival stamps and ICMP errors.

use crate::shell::{BindFailure, SendFailure, SocketId};
use nix::errno::Errno;
use nix::libc;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use std::io::{ErrorKind, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

/// No telephone packet is larger; what is, is cut.
pub const LARGEST: usize = 2048;

pub struct Sockets {
    epoll: Epoll,
    open: Vec<Option<UdpSocket>>,
    control: Vec<u8>,
}

/// One datagram, and when the kernel got it (wall clock).
pub struct Received {
    pub length: usize,
    pub source: SocketAddr,
    pub stamp: Option<TimeSpec>,
}

impl Sockets {
    pub fn new(epoll: Epoll) -> Sockets {
        Sockets { epoll, open: Vec::new(), control: vec![0; 512] }
    }

    pub fn epoll(&self) -> &Epoll {
        &self.epoll
    }

    pub fn bind(&mut self, rtp: SocketId, address: IpAddr, port: u16) -> Result<(), BindFailure> {
        let pair = [(rtp, port), (SocketId(rtp.0 | 1), port + 1)];
        for (id, port) in pair {
            let opened = open(address, port).and_then(|socket| self.watch(id, socket));
            if let Err(failure) = opened {
                self.unbind(rtp);
                return Err(failure);
            }
        }
        Ok(())
    }

    fn watch(&mut self, id: SocketId, socket: UdpSocket) -> Result<(), BindFailure> {
        let interest = EpollEvent::new(EpollFlags::EPOLLIN, u64::from(id.0));
        self.epoll.add(&socket, interest).map_err(|_| BindFailure::Impossible)?;
        let at = id.0 as usize;
        if self.open.len() <= at {
            self.open.resize_with(at + 64, || None);
        }
        self.open[at] = Some(socket);
        Ok(())
    }

    /// Closing takes the sockets out of epoll too.
    pub fn unbind(&mut self, rtp: SocketId) {
        for id in [rtp.0, rtp.0 | 1] {
            if let Some(slot) = self.open.get_mut(id as usize) {
                *slot = None;
            }
        }
    }

    fn get(&self, id: SocketId) -> Option<&UdpSocket> {
        self.open.get(id.0 as usize)?.as_ref()
    }

    pub fn send(&self, from: SocketId, to: SocketAddr, data: &[u8]) -> Result<(), SendFailure> {
        let socket = self.get(from).ok_or(SendFailure::Refused)?;
        let mut result = socket.send_to(data, to);
        if matches!(&result, Err(e) if e.kind() == ErrorKind::ConnectionRefused) {
            // An earlier packet's ICMP error, told to the next sender (it is read in `refusal`): this one has not gone.
            result = socket.send_to(data, to);
        }
        result.map(drop).map_err(|e| match e.kind() {
            ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::OutOfMemory => SendFailure::Busy,
            _ if e.raw_os_error() == Some(libc::ENOBUFS) => SendFailure::Busy,
            _ => SendFailure::Refused,
        })
    }

    /// One datagram, if there is one.
    pub fn receive(&mut self, id: SocketId, buffer: &mut [u8]) -> Option<Received> {
        let fd = self.open.get(id.0 as usize)?.as_ref()?.as_raw_fd();
        let mut parts = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_DONTWAIT;
        let got = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut self.control), flags).ok()?;
        let stamp = got.cmsgs().ok()?.find_map(|message| match message {
            ControlMessageOwned::ScmTimestampns(stamp) => Some(stamp),
            _ => None,
        });
        Some(Received { length: got.bytes, source: socket_address(got.address.as_ref()?)?, stamp })
    }

    /// One ICMP refusal from the error queue: where the datagram was going. (RFC 1122 section 4.1.3.3.)
    pub fn refusal(&mut self, id: SocketId) -> Option<SocketAddr> {
        let fd = self.open.get(id.0 as usize)?.as_ref()?.as_raw_fd();
        let mut returned = [0; 64];
        loop {
            let mut parts = [IoSliceMut::new(&mut returned)];
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_ERRQUEUE;
            let got = match recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut self.control), flags) {
                Err(Errno::EINTR) => continue,
                other => other.ok()?,
            };
            let refused = got.cmsgs().ok()?.any(|message| match message {
                ControlMessageOwned::Ipv4RecvErr(error, _) => is_unreachable(&error),
                ControlMessageOwned::Ipv6RecvErr(error, _) => is_unreachable(&error),
                _ => false,
            });
            if refused {
                return socket_address(got.address.as_ref()?);
            }
        }
    }
}

fn is_unreachable(error: &libc::sock_extended_err) -> bool {
    let from_the_net = matches!(error.ee_origin, libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6);
    let errno = error.ee_errno as i32;
    from_the_net && [libc::ECONNREFUSED, libc::EHOSTUNREACH, libc::ENETUNREACH, libc::EACCES].contains(&errno)
}

fn open(address: IpAddr, port: u16) -> Result<UdpSocket, BindFailure> {
    let socket = UdpSocket::bind((address, port)).map_err(|e| match e.kind() {
        ErrorKind::AddrInUse => BindFailure::PortTaken,
        _ => BindFailure::Impossible,
    })?;
    let errors = match address {
        IpAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true),
        IpAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true),
    };
    let stamps = setsockopt(&socket, sockopt::ReceiveTimestampns, &true);
    socket.set_nonblocking(true).map_err(|_| BindFailure::Impossible)?;
    errors.and(stamps).map_err(|_| BindFailure::Impossible)?;
    Ok(socket)
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::V4((*v4).into()));
    }
    address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into()))
}
