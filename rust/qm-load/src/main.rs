//! qm-load: a neutral SIP and RTP load program for anything that stands between a customer and an agent.
//!
//! It plays both: customers that call through the program under test, and the agents that answer, with 20 ms of A-law
//! both ways. Each packet carries its own name and time in its audio, so loss, order, damage, crossed calls and one-way
//! delay are measured end to end. It shares no code with `qm_sip`.
//!
//! * [`customer`], [`agent`], [`sip`], [`resend`]: the phones, sans-IO
//! * [`rtp`], [`speech`], [`heard`], [`pace`]: packets, their audio, what came through, and when they leave
//! * [`media`], [`mmsg`]: all phones' media on two sockets
//! * [`calls`] whole calls · [`straight`] media alone · [`forward`] the bare-forwarding probe

mod agent;
mod calls;
mod clock;
mod customer;
mod figures;
mod forward;
mod heard;
mod media;
mod mmsg;
mod pace;
mod resend;
mod rtp;
mod sip;
mod speech;
mod straight;
mod wait;

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;

use calls::{Load, Plan};
use forward::{Cost, Forwarder};
use media::Places;
use straight::{Pair, Straight};

#[derive(Parser)]
#[command(version, about = "A neutral SIP and RTP load program; prints one JSON object.")]
struct Command {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// Calls with media, held for a while.
    Call(CallOptions),
    /// Set-ups alone: no media from the phones; held only where it is asked for.
    Setup(CallOptions),
    /// Media alone, to the addresses given as JSON: [{"customer": "ip:port", "agent": "ip:port"}, ...].
    Rtp(RtpOptions),
    /// Media through a bare forwarder of one thread in this program: what no relay can go below.
    Probe(ProbeOptions),
}

#[derive(Args)]
struct Common {
    /// The first customer's media address; each next phone has the next address (all on the loopback device).
    #[arg(long, default_value = "127.20.0.1")]
    customer_media: Ipv4Addr,
    #[arg(long, default_value = "127.40.0.1")]
    agent_media: Ipv4Addr,
    /// The customers' RTP port; RTCP is the next one.
    #[arg(long, default_value_t = 6000)]
    customer_port: u16,
    #[arg(long, default_value_t = 6002)]
    agent_port: u16,
    /// Packets leave in slots of so many microseconds.
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u64).range(50..=20_000))]
    tick_us: u64,
    /// Run on this CPU only.
    #[arg(long)]
    cpu: Option<usize>,
}

impl Common {
    fn places(&self) -> Places {
        Places { base: [self.customer_media, self.agent_media], port: [self.customer_port, self.agent_port] }
    }

    fn tick_ns(&self) -> u64 {
        self.tick_us * 1000
    }
}

#[derive(Args)]
struct CallOptions {
    #[command(flatten)]
    common: Common,
    /// Where customers call to: the program under test.
    #[arg(long, default_value = "127.0.0.1:5080")]
    target: SocketAddrV4,
    /// The customers' SIP address.
    #[arg(long, default_value = "127.0.0.1:5070")]
    customer: SocketAddrV4,
    /// The agents' SIP address.
    #[arg(long, default_value = "127.0.0.1:5072")]
    agent: SocketAddrV4,
    /// What is dialled, followed by the call's number in seven digits (also the caller's own number).
    #[arg(long, default_value = "020")]
    number: String,
    /// Calls at once, at most.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    calls: u32,
    /// Calls in all; as many as at once, unless given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    total: Option<u32>,
    /// New calls a second.
    #[arg(long, default_value_t = 20.0, value_parser = positive)]
    rate: f64,
    /// Seconds that each call is held after it was connected end to end. Calls are held for 10 s, set-ups not at all,
    /// unless given.
    #[arg(long, value_parser = positive)]
    hold: Option<f64>,
    /// Hold all calls together, from the moment the last is up.
    #[arg(long)]
    together: bool,
    /// The agent answers after so many seconds of ringing.
    #[arg(long, default_value_t = 0.0, value_parser = positive)]
    answer_after: f64,
    /// An answered call without media end to end has failed after so many seconds.
    #[arg(long, default_value_t = 30.0, value_parser = positive)]
    connect_within: f64,
    /// End everything after so many seconds, whatever happens.
    #[arg(long, default_value_t = 120.0, value_parser = positive)]
    max_seconds: f64,
    /// Say on standard error when the steady time begins and ends.
    #[arg(long)]
    events: bool,
}

#[derive(Args)]
struct RtpOptions {
    #[command(flatten)]
    common: Common,
    /// A file with the addresses; standard input unless given.
    #[arg(long)]
    pairs: Option<std::path::PathBuf>,
    #[arg(long, default_value_t = 10.0, value_parser = positive)]
    seconds: f64,
}

#[derive(Args)]
struct ProbeOptions {
    #[command(flatten)]
    common: Common,
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    calls: u32,
    #[arg(long, default_value_t = 10.0, value_parser = positive)]
    seconds: f64,
    /// The forwarder runs on this CPU only.
    #[arg(long)]
    forwarder_cpu: Option<usize>,
    /// Use connected sockets (recv, send) instead of recvfrom and sendto.
    #[arg(long)]
    connected: bool,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=86_400.0).contains(&number) => Ok(number),
        _ => Err("a number from 0 to 86400 is needed".into()),
    }
}

fn main() {
    if let Err(error) = run(Command::parse()) {
        eprintln!("qm-load: {error}");
        std::process::exit(1);
    }
}

fn run(command: Command) -> Result<(), Box<dyn Error>> {
    clock::wake_precisely();
    match command.mode {
        Mode::Call(options) => call(&options, true),
        Mode::Setup(options) => call(&options, false),
        Mode::Rtp(options) => rtp(&options),
        Mode::Probe(options) => probe(&options),
    }
}

fn pin(cpu: Option<usize>) -> Result<(), String> {
    cpu.map_or(Ok(()), |cpu| clock::pin(cpu).map_err(|error| format!("CPU {cpu}: {error}")))
}

fn print(report: &impl Serialize) -> Result<(), Box<dyn Error>> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

fn nanos(seconds: f64) -> u64 {
    clock::nanos(Duration::from_secs_f64(seconds))
}

fn call(options: &CallOptions, media: bool) -> Result<(), Box<dyn Error>> {
    pin(options.common.cpu)?;
    let plan = Plan {
        customer: options.customer,
        agent: options.agent,
        target: options.target,
        number: options.number.clone(),
        places: options.common.places(),
        at_once: options.calls,
        total: options.total.unwrap_or(options.calls),
        rate: options.rate.max(0.001),
        hold_ns: nanos(options.hold.unwrap_or(if media { 10.0 } else { 0.0 })),
        together: options.together,
        media,
        answer_after_ns: nanos(options.answer_after),
        connect_within_ns: nanos(options.connect_within),
        tick_ns: if media { options.common.tick_ns() } else { 1_000_000 },
        max_ns: nanos(options.max_seconds),
        events: options.events,
    };
    print(&Load::new(plan)?.run())
}

fn rtp(options: &RtpOptions) -> Result<(), Box<dyn Error>> {
    pin(options.common.cpu)?;
    let mut text = String::new();
    match &options.pairs {
        Some(path) => text = std::fs::read_to_string(path)?,
        None => drop(std::io::stdin().read_to_string(&mut text)?),
    }
    let pairs: Vec<Pair> = serde_json::from_str(&text)?;
    let straight = Straight::new(options.common.places(), options.common.tick_ns(), &pairs)?;
    print(&straight.run(options.seconds, clock::process_cpu))
}

#[derive(Serialize)]
struct Probe {
    connected_sockets: bool,
    forwarder: Cost,
    /// One call is 100 packets a second in and 100 out.
    calls_per_core: f64,
    media: straight::Report,
}

fn probe(options: &ProbeOptions) -> Result<(), Box<dyn Error>> {
    let places = options.common.places();
    let forwarder = Forwarder::start(options.calls, places, options.connected, options.forwarder_cpu)?;
    pin(options.common.cpu)?;
    let straight = Straight::new(places, options.common.tick_ns(), &forwarder.pairs)?;
    let media = straight.run(options.seconds, clock::thread_cpu);
    let forwarder = forwarder.stop()?;
    let calls_per_core = 1e6 / (forwarder.cpu_us_per_packet * 100.0);
    print(&Probe { connected_sockets: options.connected, forwarder, calls_per_core, media })
}
