//! The Python face of the media engine: `run(fd)` for its process, `Sim` for tests on virtual time.

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use qm_media::sim::Disk;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};

/// Serve the engine on a connected SOCK_SEQPACKET socket, which it takes over; returns when it is told to or when the
/// other end has gone. `begun` is called by the packet thread, once the other threads have begun.
#[pyfunction]
#[pyo3(signature = (fd, begun = None))]
fn run(py: Python<'_>, fd: RawFd, begun: Option<Py<PyAny>>) -> PyResult<()> {
    if fd < 0 {
        return Err(PyValueError::new_err("not a file descriptor"));
    }
    // SAFETY: the caller hands the descriptor over and does not use it again (`_media.pyi`).
    let control = unsafe { OwnedFd::from_raw_fd(fd) };
    let begun = move || {
        Python::attach(|py| {
            if let Some(Err(error)) = begun.map(|begun| begun.call0(py)) {
                error.write_unraisable(py, None);
            }
        });
    };
    py.detach(|| qm_media::io::run(control, begun)).map_err(PyOSError::new_err)
}

fn address(ip: &str, port: u16) -> PyResult<SocketAddr> {
    let ip: IpAddr = ip.parse().map_err(|_| PyValueError::new_err("not an IP address"))?;
    Ok(SocketAddr::new(ip, port))
}

type Datagram<'py> = (u16, String, u16, Bound<'py, PyBytes>, u64);

/// One sender's payloads as samples of one rate: what the renderer hears.
#[pyclass(module = "qm_sip._media", unsendable)]
struct Decoder {
    decoder: qm_media::codec::speech::Decoder,
}

#[pymethods]
impl Decoder {
    #[new]
    fn new(rate: u32) -> Decoder {
        Decoder { decoder: qm_media::codec::speech::Decoder::new(rate) }
    }

    fn decode<'py>(
        &mut self,
        py: Python<'py>,
        codec: &str,
        payloads: &[u8],
        sizes: Vec<usize>,
        spans: Vec<usize>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let codec = qm_media::codec::Codec::from_name(codec);
        let codec = codec.ok_or_else(|| PyValueError::new_err("a codec that is not known"))?;
        let (mut samples, mut rest) = (Vec::with_capacity(spans.iter().sum()), payloads);
        for (size, span) in sizes.into_iter().zip(spans) {
            let (payload, after) = rest.split_at(size.min(rest.len()));
            let whole = samples.len() + span;
            self.decoder.decode(codec, payload, &mut samples);
            samples.resize(whole, 0i16);
            rest = after;
        }
        let octets: Vec<u8> = samples.iter().flat_map(|sample| sample.to_ne_bytes()).collect();
        Ok(PyBytes::new(py, &octets))
    }
}

/// The engine on virtual time: sockets, journals and clock are memory.
#[pyclass(module = "qm_sip._media", unsendable)]
struct Sim {
    sim: qm_media::sim::Sim,
}

#[pymethods]
impl Sim {
    #[new]
    #[pyo3(signature = (seed = 0))]
    fn new(seed: u64) -> Sim {
        Sim { sim: qm_media::sim::Sim::new(seed) }
    }

    fn command(&mut self, message: &str, now_ns: u64) {
        self.sim.command(message.as_bytes(), now_ns);
    }

    fn packet(
        &mut self,
        local_port: u16,
        source_ip: &str,
        source_port: u16,
        data: &[u8],
        now_ns: u64,
    ) -> PyResult<()> {
        self.sim.packet(local_port, address(source_ip, source_port)?, data, now_ns);
        Ok(())
    }

    /// A datagram the kernel got at `arrival_ns` is read only now.
    fn packet_read_late(
        &mut self,
        local_port: u16,
        source_ip: &str,
        source_port: u16,
        data: &[u8],
        arrival_ns: u64,
    ) -> PyResult<()> {
        self.sim.packet_read_late(local_port, address(source_ip, source_port)?, data, arrival_ns);
        Ok(())
    }

    fn icmp_refused(&mut self, local_port: u16, ip: &str, port: u16, now_ns: u64) -> PyResult<()> {
        self.sim.icmp_refused(local_port, address(ip, port)?, now_ns);
        Ok(())
    }

    fn advance(&mut self, now_ns: u64) {
        self.sim.advance(now_ns);
    }

    /// The engine's process stood still until then.
    fn stall(&mut self, now_ns: u64) {
        self.sim.stall(now_ns);
    }

    /// The control socket has closed.
    fn abandon(&mut self) {
        self.sim.abandon();
    }

    fn add_file(&mut self, path: &str, data: Vec<u8>) {
        self.sim.add_file(path, data);
    }

    fn take_port(&mut self, port: u16) {
        self.sim.take_port(port);
    }

    fn set_disk(&mut self, state: &str) -> PyResult<()> {
        self.sim.set_disk(match state {
            "works" => Disk::Works,
            "full" => Disk::Full,
            "stalled" => Disk::Stalled,
            _ => return Err(PyValueError::new_err("works, full or stalled")),
        });
        Ok(())
    }

    fn take_events(&mut self) -> PyResult<Vec<String>> {
        let read = |event: &_| serde_json::to_string(event).map_err(|e| PyValueError::new_err(e.to_string()));
        self.sim.take_events().iter().map(read).collect()
    }

    fn take_packets<'py>(&mut self, py: Python<'py>) -> Vec<Datagram<'py>> {
        let sent = self.sim.take_packets().into_iter();
        let one = |s: qm_media::sim::Sent| {
            (s.from_port, s.to.ip().to_string(), s.to.port(), PyBytes::new(py, &s.data), s.at)
        };
        sent.map(one).collect()
    }

    fn journals<'py>(&self, py: Python<'py>) -> HashMap<String, Bound<'py, PyBytes>> {
        self.sim.journals().iter().map(|(tap, data)| (tap.clone(), PyBytes::new(py, data))).collect()
    }

    fn keys<'py>(&self, py: Python<'py>) -> HashMap<String, Bound<'py, PyBytes>> {
        self.sim.keys().iter().map(|(tap, key)| (tap.clone(), PyBytes::new(py, key))).collect()
    }
}

#[pymodule]
fn _media(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(run, module)?)?;
    module.add_class::<Decoder>()?;
    module.add_class::<Sim>()
}
