//! What is computed with: number format, attention path, numerics.

use ybox_spec::config::{AttentionPath, Numerics};

use super::code::Code;
use super::refusal::Refusal;
use super::request::Request;
use super::tables::{PathRow, Tables};
use super::target::{Candidate, Target};
use super::{Decided, Dtype, Trail};
use crate::probe::Facts;
use crate::probe::version::Capability;

/// What a CPU computes in where nothing was asked for.
const CPU_DTYPE: Dtype = Dtype::Fp32;

pub struct Compute {
    pub attention: AttentionPath,
    pub kernel: String,
    pub dtype: Dtype,
    pub numerics: Numerics,
}

pub fn choose(
    target: &Target,
    facts: &Facts,
    request: &Request,
    tables: &Tables,
    trail: &mut Trail,
) -> Decided<Compute> {
    let dtype = dtype(target, request, tables, trail);
    // A refused format still says what the rest would have been asked for.
    let settled = *dtype.as_ref().unwrap_or(&request.dtype.unwrap_or(Dtype::Fp32));
    let attention = match target {
        Target::Cpu => cpu_attention(request, tables, trail),
        Target::Gpus(gpus) => gpu_attention(gpus, settled, request, tables, trail),
    };
    let numerics = numerics(target, settled, facts, request, trail);
    match (dtype, attention, numerics) {
        (Ok(dtype), Ok((attention, kernel)), Ok(numerics)) => {
            Ok(Compute { attention, kernel, dtype, numerics })
        }
        (dtype, attention, numerics) => {
            Err([dtype.err(), attention.err(), numerics.err()].into_iter().flatten().collect())
        }
    }
}

fn dtype(
    target: &Target,
    request: &Request,
    tables: &Tables,
    trail: &mut Trail,
) -> Result<Dtype, Refusal> {
    let (default, device) = match target {
        Target::Cpu => (CPU_DTYPE, cpu_dtypes(tables)),
        Target::Gpus(gpus) => {
            let weakest = weakest(gpus);
            (tables.attention.default_dtype(weakest), format!("compute capability {weakest}"))
        }
    };
    let Some(asked) = request.dtype else {
        let subject = format!("dtype {default}");
        trail.chosen(subject, Code::DefaultForDevice, format!("the default for {device}"));
        return Ok(default);
    };
    let subject = format!("dtype {asked}");
    let lacks =
        |gpu: &&Candidate| tables.attention.floor(asked).is_none_or(|floor| gpu.capability < floor);
    let lacking = match target {
        Target::Cpu => None,
        Target::Gpus(gpus) => gpus.iter().find(lacks),
    };
    match lacking {
        Some(gpu) => {
            let gpu = gpu.label();
            let refusal = Refusal::DtypeNotOnArch { dtype: asked, gpu, instead: default };
            trail.rejected(subject, &refusal);
            Err(refusal)
        }
        None => {
            trail.chosen(
                subject,
                Code::AskedFor,
                "it was asked for, and the device computes in it",
            );
            Ok(asked)
        }
    }
}

/// A CPU, with what it computes in beside its default.
fn cpu_dtypes(tables: &Tables) -> String {
    let offers =
        |dtype: &Dtype| tables.attention.cpu.rows.iter().any(|row| row.dtypes.contains(dtype));
    let others = Dtype::ALL.into_iter().filter(|dtype| *dtype != CPU_DTYPE && offers(dtype));
    let others: Vec<_> = others.map(Dtype::name).collect();
    format!("a CPU; {} are there with numerics=fast", others.join(" and "))
}

/// All GPUs of a run compute alike, so the weakest one sets the pace.
fn weakest(gpus: &[Candidate]) -> Capability {
    gpus.iter().map(|gpu| gpu.capability).min().unwrap_or(Capability::new(0, 0))
}

fn cpu_attention(
    request: &Request,
    tables: &Tables,
    trail: &mut Trail,
) -> Result<(AttentionPath, String), Refusal> {
    let mut rows = tables.attention.cpu.rows.iter();
    let asked = request.attention;
    let row = match asked {
        AttentionPath::Auto => rows.next(),
        path => rows.find(|row| row.path == path),
    };
    let Some(row) = row else {
        trail.rejected(format!("attention {}", asked.name()), &Refusal::EfficientNotOnCpu);
        return Err(Refusal::EfficientNotOnCpu);
    };
    let code = asked_or(asked, Code::DefaultForDevice);
    trail.chosen(format!("attention {}", row.path.name()), code, row.kernel.clone());
    Ok((row.path, row.kernel.clone()))
}

fn asked_or(asked: AttentionPath, otherwise: Code) -> Code {
    if asked == AttentionPath::Auto { otherwise } else { Code::AskedFor }
}

fn gpu_attention(
    gpus: &[Candidate],
    dtype: Dtype,
    request: &Request,
    tables: &Tables,
    trail: &mut Trail,
) -> Result<(AttentionPath, String), Refusal> {
    let asked = request.attention;
    let mut last = Refusal::EfficientNotOnCpu;
    for row in &tables.attention.paths.rows {
        if asked != AttentionPath::Auto && asked != row.path {
            continue;
        }
        let subject = format!("attention {}", row.path.name());
        match gpus.iter().try_for_each(|gpu| path_fits(row, gpu, dtype)) {
            Ok(()) => {
                let reason =
                    format!("{}, head dimension {}", row.kernel, tables.attention.head_dim);
                trail.chosen(&subject, asked_or(asked, Code::FirstThatFits), reason);
                let reason = format!("backward pass, {}", row.deterministic);
                trail.passed(subject, Code::KernelsDeterministic, reason);
                return Ok((row.path, row.kernel.clone()));
            }
            Err(refusal) => {
                reject(&subject, &refusal, trail);
                last = refusal;
            }
        }
    }
    Err(last)
}

/// A path that is only unverified for a GPU is marked as that, not as rejected for cause.
fn reject(subject: &str, refusal: &Refusal, trail: &mut Trail) {
    match refusal {
        Refusal::AttentionUnverified { .. } => {
            trail.unverified(subject, refusal.code(), refusal.sentence());
        }
        _ => trail.rejected(subject, refusal),
    }
}

fn path_fits(row: &PathRow, gpu: &Candidate, dtype: Dtype) -> Result<(), Refusal> {
    let label = || gpu.label();
    if gpu.capability < row.floor.max(row.from) {
        return Err(match row.path {
            AttentionPath::Flash => Refusal::FlashNeedsSm80 { gpu: label() },
            _ => Refusal::EfficientNeedsSm75 { gpu: label() },
        });
    }
    if row.to.is_some_and(|to| gpu.capability > to) {
        return Err(Refusal::AttentionUnverified { path: row.path, gpu: label() });
    }
    if row.dtypes.contains(&dtype) { Ok(()) } else { Err(Refusal::FlashNeedsHalf { dtype }) }
}

fn numerics(
    target: &Target,
    dtype: Dtype,
    facts: &Facts,
    request: &Request,
    trail: &mut Trail,
) -> Result<Numerics, Refusal> {
    let obstacle = match target {
        Target::Gpus(_) => Some(Refusal::PortableNeedsCpu),
        Target::Cpu if dtype != CPU_DTYPE => Some(Refusal::PortableNeedsFp32 { dtype }),
        Target::Cpu => lacks_avx2(facts),
    };
    match (request.numerics, obstacle) {
        (Some(Numerics::Portable), Some(refusal)) => {
            trail.rejected("numerics portable", &refusal);
            Err(refusal)
        }
        (Some(asked), _) => {
            trail.chosen(format!("numerics {}", asked.name()), Code::AskedFor, promise(asked));
            Ok(asked)
        }
        (None, None) => {
            let reason = promise(Numerics::Portable);
            trail.chosen("numerics portable", Code::DefaultForDevice, reason);
            Ok(Numerics::Portable)
        }
        (None, Some(refusal)) => {
            trail.rejected("numerics portable", &refusal);
            trail.chosen("numerics fast", Code::DefaultForDevice, promise(Numerics::Fast));
            Ok(Numerics::Fast)
        }
    }
}

fn promise(numerics: Numerics) -> &'static str {
    match numerics {
        Numerics::Portable => "the same bits on any x86-64 CPU with AVX2 and FMA",
        Numerics::Fast => "the same bits on the same class of hardware",
    }
}

fn lacks_avx2(facts: &Facts) -> Option<Refusal> {
    let sets = &facts.cpu.instruction_sets;
    let reason = match sets.known() {
        None => format!("whether this CPU has them is not known: {}", sets.reason()),
        Some(sets) => {
            let missing: Vec<_> =
                ["avx2", "fma"].into_iter().filter(|s| !sets.iter().any(|set| set == s)).collect();
            if missing.is_empty() {
                return None;
            }
            format!("this CPU lacks {}", missing.join(" and "))
        }
    };
    Some(Refusal::PortableNeedsAvx2 { reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{self, Outcome};

    fn compute(hardware: &str, request: Request) -> Result<plan::Plan, plan::Refusals> {
        let tables = Tables::built_in();
        plan::plan(&plan::pretend(hardware, &tables).unwrap(), &request, &tables)
    }

    fn codes(outcome: Result<plan::Plan, plan::Refusals>) -> Vec<&'static str> {
        outcome.unwrap_err().refusals.iter().map(|refusal| refusal.code().name()).collect()
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let request = Request {
            attention: AttentionPath::Flash,
            dtype: Some(Dtype::Bf16),
            numerics: Some(Numerics::Portable),
            ..Default::default()
        };
        assert_eq!(
            codes(compute("T4", request.clone())),
            ["dtype-not-on-arch", "flash-needs-sm80", "portable-needs-cpu"]
        );
        assert_eq!(codes(compute("A100", request)), ["portable-needs-cpu"]);
    }

    #[test]
    fn a_cpu_has_no_efficient_path() {
        let request = Request { attention: AttentionPath::Efficient, ..Default::default() };
        assert_eq!(codes(compute("cpu", request)), ["efficient-not-on-cpu"]);
        let request = Request { attention: AttentionPath::Safe, ..Default::default() };
        assert_eq!(compute("cpu", request).unwrap().attention, AttentionPath::Safe);
    }

    #[test]
    fn a_cpu_computes_in_short_formats_where_numerics_are_fast() {
        for dtype in [Dtype::Bf16, Dtype::Fp16] {
            let request = Request { dtype: Some(dtype), ..Default::default() };
            let plan = compute("cpu", request.clone()).unwrap();
            assert_eq!((plan.dtype, plan.numerics), (dtype, Numerics::Fast));
            let request = Request { numerics: Some(Numerics::Portable), ..request };
            assert_eq!(codes(compute("cpu", request)), ["portable-needs-fp32"]);
        }
    }

    #[test]
    fn portable_needs_avx2_and_is_left_only_when_nobody_asked_for_it() {
        let old = "cpu,isa=sse4_2+avx";
        let plan = compute(old, Request::default()).unwrap();
        assert_eq!(plan.numerics, Numerics::Fast);
        let rejected = plan.rules.iter().find(|rule| rule.outcome == Outcome::Rejected).unwrap();
        assert_eq!(rejected.code, Code::PortableNeedsAvx2);
        assert!(rejected.reason.ends_with("this CPU lacks avx2 and fma"), "{}", rejected.reason);
        let request = Request { numerics: Some(Numerics::Portable), ..Default::default() };
        assert_eq!(codes(compute(old, request)), ["portable-needs-avx2"]);
    }

    #[test]
    fn flash_in_fp32_is_refused_and_efficient_takes_its_place() {
        let request = Request { dtype: Some(Dtype::Fp32), ..Default::default() };
        assert_eq!(compute("H100", request.clone()).unwrap().attention, AttentionPath::Efficient);
        let request = Request { attention: AttentionPath::Flash, ..request };
        assert_eq!(codes(compute("H100", request)), ["flash-needs-half"]);
    }

    #[test]
    fn beyond_the_tables_only_the_safe_path_is_chosen_and_marked() {
        let tables = Tables::built_in();
        let mut facts = plan::pretend("RTX 5090", &tables).unwrap();
        let crate::probe::Fact::Is(gpus) = &mut facts.gpus else { panic!("pretended GPUs") };
        gpus[0].capability = crate::probe::Fact::Is(Capability::new(12, 5));
        let plan = plan::plan(&facts, &Request::default(), &tables).unwrap();
        assert_eq!((plan.attention, plan.verified), (AttentionPath::Safe, false));
        let unverified = |rule: &&plan::Rule| rule.outcome == Outcome::Unverified;
        assert_eq!(plan.rules.iter().filter(unverified).count(), 3);
    }
}
