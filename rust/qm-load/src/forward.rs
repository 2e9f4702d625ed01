//! Bare forwarding: what no relay can go below. One thread: epoll, receive, send, two sockets for each call.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde::Serialize;
use socket2::{Domain, Protocol, Socket, Type};

use crate::clock;
use crate::media::Places;
use crate::rtp::Side;
use crate::straight::Pair;

/// What forwarding cost.
#[derive(Debug, Serialize)]
pub struct Cost {
    pub packets: u64,
    pub refused: u64,
    pub cpu_s: f64,
    pub cpu_us_per_packet: f64,
}

pub struct Forwarder {
    thread: JoinHandle<io::Result<Cost>>,
    stop: Arc<AtomicBool>,
    pub pairs: Vec<Pair>,
}

/// One socket, the address its packets come from, and the socket and address that they leave by.
struct Leg {
    socket: UdpSocket,
    phone: SocketAddrV4,
}

impl Forwarder {
    /// Forward for that many calls between the phones of `places`. `connected`: `connect` each socket, then recv and
    /// send; otherwise recvfrom and sendto. `cpu`: the CPU to run on.
    pub fn start(calls: u32, places: Places, connected: bool, cpu: Option<usize>) -> io::Result<Self> {
        let mut legs = Vec::new();
        let mut pairs = Vec::new();
        for call in 0..calls {
            let customer = leg(places.of(Side::Customer, call), connected)?;
            let agent = leg(places.of(Side::Agent, call), connected)?;
            pairs.push(Pair { customer: local(&customer)?, agent: local(&agent)? });
            legs.extend([customer, agent]);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            cpu.map_or(Ok(()), clock::pin)?;
            forward(&legs, connected, &seen)
        });
        Ok(Forwarder { thread, stop, pairs })
    }

    pub fn stop(self) -> io::Result<Cost> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the forwarder does not panic")
    }
}

fn leg(phone: SocketAddrV4, connected: bool) -> io::Result<Leg> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0).into())?;
    if connected {
        socket.connect(&phone.into())?;
    }
    Ok(Leg { socket: socket.into(), phone })
}

fn local(leg: &Leg) -> io::Result<SocketAddrV4> {
    match leg.socket.local_addr()? {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(_) => Err(io::Error::other("an IPv4 socket has an IPv4 address")),
    }
}

fn forward(legs: &[Leg], connected: bool, stop: &AtomicBool) -> io::Result<Cost> {
    let (began, mut packets, mut refused) = (clock::thread_cpu(), 0, 0);
    let epoll = Epoll::new(legs)?;
    let mut buffer = [0_u8; 2048];
    while !stop.load(Ordering::Relaxed) {
        epoll.wait(|index| {
            let (from, to) = (&legs[index], &legs[index ^ 1]);
            let length = if connected {
                from.socket.recv(&mut buffer)
            } else {
                from.socket.recv_from(&mut buffer).map(|(length, _)| length)
            };
            let Ok(length) = length else { return };
            let sent = if connected {
                to.socket.send(&buffer[..length])
            } else {
                to.socket.send_to(&buffer[..length], to.phone)
            };
            packets += 1;
            refused += u64::from(sent.is_err());
        });
    }
    let cpu = clock::thread_cpu() - began;
    let cpu_us_per_packet = cpu as f64 / 1e3 / packets.max(1) as f64;
    Ok(Cost { packets, refused, cpu_s: cpu as f64 / 1e9, cpu_us_per_packet })
}

struct Epoll(std::os::fd::OwnedFd);

impl Epoll {
    fn new(legs: &[Leg]) -> io::Result<Self> {
        use std::os::fd::FromRawFd;
        // SAFETY: a fresh descriptor, or -1, which is checked before it is owned.
        let epoll = unsafe {
            let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            Epoll(std::os::fd::OwnedFd::from_raw_fd(fd))
        };
        for (index, leg) in legs.iter().enumerate() {
            let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: index as u64 };
            let fd = leg.socket.as_raw_fd();
            // SAFETY: both descriptors are open and `event` lives for the call.
            if unsafe { libc::epoll_ctl(epoll.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(epoll)
    }

    /// Wait (at most 100 ms) and hand on the index of each leg that can be read.
    fn wait(&self, mut ready: impl FnMut(usize)) {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
        // SAFETY: the array and its length agree and it lives for the call.
        let count = unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), 64, 100) };
        for event in &events[..usize::try_from(count).unwrap_or(0)] {
            ready(event.u64 as usize);
        }
    }
}
