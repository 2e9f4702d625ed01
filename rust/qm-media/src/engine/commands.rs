//! One function for each command. Repeating a command changes nothing.

use super::call::Call;
use super::taps::{self, Held};
use super::{Cx, Engine, Settings, packets, playing, private, timers};
use crate::codec::{Codec, sound};
use crate::gate::Line;
use crate::guard::Guard;
use crate::leg::{Leg, Remote, map_payload_types};
use crate::prompt::Prompt;
use crate::protocol::{
    CloseTap, Command, Configure, Event, LegName, LoadPrompt, MS, Nanos, OpenCall, OpenLeg, OpenTap,
    SetRemote, Srtp, WatchKeys,
};
use crate::shell::{BindFailure, Shell};
use crate::tap::Pause;
use crate::watch;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn run(engine: &mut Engine, command: Command, now: Nanos, shell: &mut dyn Shell) {
    if !engine.world.configured && !matches!(command, Command::Configure(_)) {
        let (what, call) = command.names();
        return Cx { world: &mut engine.world, shell, now }.failed(what, call, None, "not-configured");
    }
    match command {
        Command::Configure(c) => configure(engine, c, now, shell),
        Command::LoadPrompt(c) => load_prompt(engine, c, shell),
        Command::LoadLine(c) => {
            let rules = Line { prompts: c.prompts, already_informed: c.already_informed };
            engine.world.lines.insert(c.line, rules);
        }
        Command::OpenCall(c) => open_call(engine, c, now),
        Command::CloseCall(c) => close_call(engine, &c.call, now, shell),
        Command::Lease(_) => timers::leased(engine, now, shell),
        Command::Stats(_) => stats(engine, now, shell),
        Command::Shutdown(_) => close_taps(engine, "shutdown", Held::Keep, now, shell),
        Command::OpenTap(c) => open_tap(engine, c, now, shell),
        Command::CloseLeg(c) => {
            let name = c.call.clone();
            on_call(engine, Command::CloseLeg(c), now, shell);
            listener_left(engine, &name, now, shell);
        }
        of_a_call => on_call(engine, of_a_call, now, shell),
    }
}

fn open_tap(engine: &mut Engine, c: OpenTap, now: Nanos, shell: &mut dyn Shell) {
    let listener = engine.listener(c.to.as_ref());
    let name = c.call.clone();
    let Some((call, world)) = engine.find(&name) else {
        return Cx { world: &mut engine.world, shell, now }.failed("open_tap", &name, None, "unknown-call");
    };
    taps::open(call, c, listener, &mut Cx { world, shell, now });
    if let Some(place) = listener.filter(|place| engine.world.mixes.contains_key(&place.slot))
        && let Some(call) = engine.calls[place.slot].as_mut()
    {
        call.listener = true;
    }
}

/// A listener's leg is closed: what was to be heard there is no longer.
fn listener_left(engine: &mut Engine, name: &str, now: Nanos, shell: &mut dyn Shell) {
    if let Some((call, _)) = engine.find(name)
        && call.listener
        && call.legs[0].is_none()
    {
        let slot = call.slot;
        taps::listener_gone(engine, slot, now, shell);
    }
}

fn on_call(engine: &mut Engine, command: Command, now: Nanos, shell: &mut dyn Shell) {
    let (what, name) = command.names();
    let name = name.to_owned();
    let Some((call, world)) = engine.find(&name) else {
        return Cx { world: &mut engine.world, shell, now }.failed(what, &name, None, "unknown-call");
    };
    let mut cx = Cx { world, shell, now };
    match command {
        Command::OpenLeg(c) => open_leg(call, c, &mut cx),
        Command::SetRemote(c) => set_remote(call, c, &mut cx),
        Command::Bridge(c) => bridge(call, c.on, &mut cx),
        Command::Play(c) => playing::play(call, c, &mut cx),
        Command::Tone(c) => match call.leg(c.leg) {
            Some(leg) => (leg.tone, leg.tone_at) = (c.tone, 0),
            None => cx.failed(what, &name, Some(c.leg), "unknown-leg"),
        },
        Command::StopPlay(c) => {
            playing::fail(call, c.leg, "stopped", &mut cx);
            playing::pace(call, c.leg, &mut cx);
        }
        Command::CloseTap(c) => close_tap(call, &c, &mut cx),
        Command::Cut(c) => cut(call, &c.tap, c.from_ns, c.to_ns, &mut cx),
        Command::Hold(c) => {
            call.held = c.on;
            taps::set_pause(call, Pause::Hold, c.on, "hold", &mut cx);
        }
        Command::Pause(c) => {
            call.paused = c.on;
            taps::set_pause(call, Pause::Asked, c.on, &c.reason, &mut cx);
        }
        Command::Forbid(c) => private::forbid(call, &c, &mut cx),
        Command::MakePrivate(c) => {
            private::make_private(call, c.drop_before_ms.saturating_mul(MS), cx.now, &mut cx);
        }
        Command::WatchKeys(c) => watch_keys(call, c, &mut cx),
        Command::VoidProofs(c) => {
            call.void(c.leg, &c.reason, &mut cx);
            LegName::BOTH.into_iter().for_each(|leg| playing::pace(call, leg, &mut cx));
        }
        Command::CloseLeg(c) => call.close_leg(c.leg, &mut cx),
        _ => {}
    }
}

fn configure(engine: &mut Engine, c: Configure, now: Nanos, shell: &mut dyn Shell) {
    let world = &mut engine.world;
    if c.port_low >= c.port_high {
        return Cx { world, shell, now }.failed("configure", "", None, "no-ports");
    }
    if !world.configured {
        // RFC 3550 section 11: RTP on even ports, RTCP on the next.
        let low = c.port_low.saturating_add(c.port_low & 1);
        world.ports = (low..c.port_high).step_by(2).collect();
        (world.next_sweep, world.configured) = (now, true);
    }
    world.settings = Settings {
        address: c.address,
        journal_directory: c.journal_directory,
        key_directory: c.key_directory,
        hold_back: c.hold_back_ms * MS,
        playout: c.playout_ms * MS,
        lease: c.lease_ms * MS,
        chunk: c.chunk_ms * MS,
        media_timeout: c.media_timeout_ms * MS,
        codecs: c.codecs.iter().filter_map(|name| Codec::from_name(name)).collect(),
    };
    world.settings.codecs.iter().for_each(|codec| sound::prepare_tones(*codec));
    shell.event(Event::Configured { run: world.run.clone(), pid: shell.pid() });
    timers::leased(engine, now, shell);
}

fn load_prompt(engine: &mut Engine, c: LoadPrompt, shell: &mut dyn Shell) {
    let prompt = c.prompt.clone();
    let file = shell.read_file(&c.path);
    let loaded = file.and_then(|file| Prompt::load(c, &file).map_err(str::to_owned));
    match loaded {
        Err(reason) => shell.event(Event::PromptRefused { prompt, reason }),
        Ok(loaded) => {
            shell.event(Event::PromptLoaded { prompt: prompt.clone(), duration_ms: loaded.duration_ms() });
            let loaded = Arc::new(loaded);
            shell.prepare(&loaded, &engine.world.settings.codecs);
            engine.world.prompts.insert(prompt, loaded);
        }
    }
}

fn open_call(engine: &mut Engine, c: OpenCall, now: Nanos) {
    if engine.names.contains_key(&c.call) {
        return;
    }
    let slot = engine.free.pop().unwrap_or_else(|| {
        engine.calls.push(None);
        engine.calls.len() - 1
    });
    engine.names.insert(c.call.clone(), slot);
    engine.calls[slot] = Some(Call::new(c, slot, now));
}

fn close_call(engine: &mut Engine, name: &str, now: Nanos, shell: &mut dyn Shell) {
    let slot = engine.names.remove(name);
    let call = slot.and_then(|slot| engine.calls[slot].take());
    let mut cx = Cx { world: &mut engine.world, shell, now };
    let Some(mut call) = call else { return cx.failed("close_call", name, None, "unknown-call") };
    taps::close_all(&mut call, "call-closed", Held::Keep, &mut cx);
    LegName::BOTH.into_iter().for_each(|leg| call.close_leg(leg, &mut cx));
    taps::call_over(name, &mut cx);
    if call.listener {
        taps::listener_gone(engine, call.slot, now, shell);
    }
    engine.free.push(call.slot);
}

fn open_leg(call: &mut Call, c: OpenLeg, cx: &mut Cx<'_>) {
    if call.leg(c.leg).is_some() {
        return leg_opened(call, c.leg, cx);
    }
    if call.listener && (c.leg != LegName::Caller || c.outside) && cx.stands(Guard::ListenerAlone) {
        return cx.failed("open_leg", &c.call, Some(c.leg), "listener");
    }
    let address = c.address.unwrap_or(cx.world.settings.address);
    let Some(port) = bind(call, c.leg, address, cx) else {
        return cx.failed("open_leg", &c.call, Some(c.leg), "no-port");
    };
    if c.outside {
        call.joined(c.leg, cx);
    }
    if c.outside && cx.stands(Guard::NewPartyCloses) {
        // Somebody joins who has been told nothing.
        taps::close_all(call, "new-party", Held::Drop, cx);
    }
    let random = [cx.world.secrets.word(), cx.world.secrets.word(), cx.world.secrets.word()];
    let mut leg = Leg::new(c.outside, c.channel, address, port, random);
    leg.counted = private::is_counted(call, cx);
    call.legs[c.leg.index()] = Some(leg);
    leg_opened(call, c.leg, cx);
}

/// Take the port that has rested longest.
fn bind(call: &Call, leg: LegName, address: std::net::IpAddr, cx: &mut Cx<'_>) -> Option<u16> {
    for _ in 0..cx.world.ports.len() {
        let port = cx.world.ports.pop_front()?;
        match cx.shell.bind(call.socket(leg), address, port) {
            Ok(()) => return Some(port),
            Err(BindFailure::PortTaken) => cx.world.ports.push_back(port),
            Err(BindFailure::Impossible) => {
                cx.world.ports.push_front(port);
                return None;
            }
        }
    }
    None
}

fn leg_opened(call: &mut Call, leg: LegName, cx: &mut Cx<'_>) {
    let id = call.id.clone();
    if let Some(opened) = call.leg(leg) {
        let (address, port) = (opened.address.to_string(), opened.port);
        cx.event(Event::LegOpened { call: id, leg, address, port, rtcp_port: port + 1 });
    }
}

fn set_remote(call: &mut Call, c: SetRemote, cx: &mut Cx<'_>) {
    let keys = c.srtp.as_ref().map(Srtp::masters).transpose();
    let (remote, keys) = match Remote::new(&c).and_then(|remote| Ok((remote, keys?))) {
        Ok(read) => read,
        Err(reason) => return cx.failed("set_remote", &c.call, Some(c.leg), reason),
    };
    let Some(leg) = call.leg(c.leg) else {
        return cx.failed("set_remote", &c.call, Some(c.leg), "unknown-leg");
    };
    leg.set_remote(remote, cx.now);
    leg.set_keys(keys);
    map_payload_types(&mut call.legs);
    playing::restart_if_moved(call, c.leg, cx);
    playing::pace(call, c.leg, cx);
}

fn bridge(call: &mut Call, on: bool, cx: &mut Cx<'_>) {
    if call.listener && on && cx.stands(Guard::ListenerAlone) {
        let id = call.id.clone();
        return cx.failed("bridge", &id, None, "listener");
    }
    call.bridged = on;
    taps::set_pause(call, Pause::Unbridged, !on, "", cx);
    for name in LegName::BOTH {
        if let Some(leg) = call.leg(name) {
            leg.relaying = false;
        }
        playing::pace(call, name, cx);
    }
}

/// Of a private call no key means anything.
fn watch_keys(call: &mut Call, c: WatchKeys, cx: &mut Cx<'_>) {
    if !watch::are_codes(&c.codes) {
        return cx.failed("watch_keys", &c.call, Some(c.leg), "bad-code");
    }
    let private = call.is_private();
    let Some(leg) = call.leg(c.leg) else {
        return cx.failed("watch_keys", &c.call, Some(c.leg), "unknown-leg");
    };
    if private {
        return;
    }
    let (gap, drop_before) = (c.gap_ms.saturating_mul(MS), c.drop_before_ms.saturating_mul(MS));
    let late = leg.watch.get_or_insert_default().replace(c.codes, gap, drop_before);
    packets::send_late(call, c.leg, late, cx);
}

fn close_tap(call: &mut Call, c: &CloseTap, cx: &mut Cx<'_>) {
    let held = if c.keep_held_back { Held::Keep } else { Held::Drop };
    if !taps::close(call, &c.tap, &c.reason, held, cx) && !call.taps_seen.contains(&c.tap) {
        cx.failed("close_tap", &c.call, None, "unknown-tap");
    }
}

fn cut(call: &mut Call, tap: &str, from: Nanos, to: Nanos, cx: &mut Cx<'_>) {
    let now = cx.now;
    let Some(found) = call.taps_mut().iter_mut().find(|t| t.id == tap) else {
        let id = call.id.clone();
        return cx.failed("cut", &id, None, "unknown-tap");
    };
    found.cut(from, to, now);
    taps::flush(call, true, cx);
}

/// Close every tap in order; the shell ends the process when [`Engine::is_done`].
pub(super) fn close_taps(engine: &mut Engine, reason: &str, held: Held, now: Nanos, shell: &mut dyn Shell) {
    engine.world.stopping = true;
    engine.each_call(now, shell, |call, cx| taps::close_all(call, reason, held, cx));
}

fn stats(engine: &Engine, now: Nanos, shell: &mut dyn Shell) {
    let c = &engine.world.counters;
    let calls = engine.calls.iter().flatten();
    let mut counters = BTreeMap::from([
        ("calls", engine.names.len() as u64),
        ("legs", calls.clone().map(|call| call.legs.iter().flatten().count() as u64).sum()),
        ("taps_open", calls.map(|call| call.taps().len() as u64).sum()),
        ("ports_free", engine.world.ports.len() as u64),
        ("journals_open", engine.world.owners.len() as u64),
        ("packets_in", c.packets_in),
        ("packets_out", c.packets_out),
        ("strangers", c.strangers),
        ("invalid", c.invalid),
        ("unmapped", c.unmapped),
        ("srtp_not_authentic", c.not_authentic),
        ("srtp_replayed", c.replayed),
        ("srtp_unsent", c.unsealed),
        ("send_failures", c.send_failures),
        ("overruns", c.overruns),
        ("taps_opened", c.taps_opened),
        ("taps_refused", c.taps_refused),
        ("taps_failed", c.taps_failed),
        ("listened", c.listened),
        ("receipts", engine.world.receipts.len() as u64),
        ("listeners", engine.world.mixes.len() as u64),
        ("listener_dropped", c.listener_dropped),
        ("lease_losses", c.lease_losses),
    ]);
    counters.extend(shell.counters(now));
    shell.event(Event::Stats { counters });
}
