//! Reads a pickle without running it. A pickle is a program: here its instructions build plain data,
//! and a call in it becomes a record of who would have been called with what, which nobody ever
//! calls. What the data mean is `checkpoint`'s matter.
//!
//! Instructions: <https://github.com/python/cpython/blob/main/Lib/pickletools.py>. Those of the text
//! protocols and of extension registries are refused.

use std::collections::HashMap;
use std::rc::Rc;

/// Values pushed or remembered beyond which a pickle is refused; a model has some ten thousand.
const MAX_VALUES: usize = 2_000_000;
/// Bytes of a global's name and module.
const MAX_NAME: usize = 1000;

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    /// A name from a module, as `module.name`. Never looked up.
    Global(Rc<str>),
    /// Bytes and whole numbers beyond 64 bits: nothing in a checkpoint that matters here.
    Opaque,
    /// Index into [`Pickle::objects`].
    Object(usize),
}

/// Anything that holds values. It may hold itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    pub kind: Kind,
    /// Of a list, a set or a tuple, or appended to an instance.
    pub elements: Vec<Value>,
    /// Of a dictionary, or set in an instance.
    pub entries: Vec<(Value, Value)>,
    /// What an instance was to take as its state.
    pub state: Option<Value>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    List,
    Tuple,
    Dict,
    /// What calling `callee` with `arguments` would have given.
    Call {
        callee: Value,
        arguments: Value,
    },
    /// What is stored outside the pickle under this identity.
    Persistent(Value),
}

#[derive(Debug)]
pub struct Pickle {
    pub root: Value,
    pub objects: Vec<Object>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PickleError {
    #[error("it ends at byte {0}, in the middle")]
    Truncated(usize),
    #[error("byte {at} is the instruction {code:#04x}, which is not supported")]
    Instruction { at: usize, code: u8 },
    #[error("the instruction at byte {0} lacks what it works on")]
    Operand(usize),
    #[error("it holds more than {MAX_VALUES} values")]
    TooLarge,
}

impl Pickle {
    pub fn read(bytes: &[u8]) -> Result<Self, PickleError> {
        let mut machine = Machine { bytes, ..Machine::default() };
        while !machine.step()? {}
        let root = machine.pop()?;
        Ok(Self { root, objects: machine.objects })
    }

    pub fn object(&self, value: &Value) -> Option<&Object> {
        match value {
            Value::Object(index) => self.objects.get(*index),
            _ => None,
        }
    }
}

#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    /// Of the next byte.
    position: usize,
    /// Of the instruction that is carried out.
    at: usize,
    stack: Vec<Value>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    objects: Vec<Object>,
    pushed: usize,
}

impl<'a> Machine<'a> {
    /// Carries out one instruction; true when it was the last.
    fn step(&mut self) -> Result<bool, PickleError> {
        self.at = self.position;
        let code = self.take(1)?[0];
        match code {
            b'.' => return Ok(true),
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'(' => self.mark()?,
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let top = self.top()?.clone();
                self.push(top)?;
            }
            b'N' | 0x88 | 0x89 | b'J' | b'K' | b'M' | 0x8a | b'G' => self.scalar(code)?,
            b'X' | 0x8c | 0x8d | b'B' | b'C' | 0x8e => self.string(code)?,
            b']' | b')' | b'}' | 0x8f => self.empty(code)?,
            b't' | 0x85..=0x87 | b'l' | b'd' => self.filled(code)?,
            b'a' | b'e' | 0x90 => self.append(code)?,
            b's' | b'u' => self.set(code)?,
            b'c' | 0x93 => self.global(code)?,
            b'R' | 0x81 | 0x92 | b'b' | b'Q' => self.instance(code)?,
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.memo(code)?,
            _ => return Err(PickleError::Instruction { at: self.at, code }),
        }
        Ok(false)
    }

    fn scalar(&mut self, code: u8) -> Result<(), PickleError> {
        let value = match code {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'J' => Value::Int(i32::from_le_bytes(self.array()?).into()),
            b'K' => Value::Int(self.take(1)?[0].into()),
            b'M' => Value::Int(u16::from_le_bytes(self.array()?).into()),
            b'G' => Value::Float(f64::from_be_bytes(self.array()?)),
            _ => {
                let length = self.take(1)?[0];
                long(self.take(length.into())?)
            }
        };
        self.push(value)
    }

    fn string(&mut self, code: u8) -> Result<(), PickleError> {
        let length = match code {
            0x8c | b'C' => self.take(1)?[0].into(),
            b'X' | b'B' => u32::from_le_bytes(self.array()?).into(),
            _ => u64::from_le_bytes(self.array()?),
        };
        let bytes = self.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        let value = match (code, std::str::from_utf8(bytes)) {
            (b'X' | 0x8c | 0x8d, Ok(text)) => Value::Text(text.into()),
            _ => Value::Opaque,
        };
        self.push(value)
    }

    fn empty(&mut self, code: u8) -> Result<(), PickleError> {
        self.object(match code {
            b')' => Kind::Tuple,
            b'}' => Kind::Dict,
            _ => Kind::List,
        })?;
        Ok(())
    }

    fn filled(&mut self, code: u8) -> Result<(), PickleError> {
        let count = usize::from(code.wrapping_sub(0x84));
        let elements = match code {
            0x85..=0x87 => {
                let height = self.floor(count)?;
                self.stack.split_off(height)
            }
            _ => self.pop_mark()?,
        };
        let kind = match code {
            b'l' => Kind::List,
            b'd' => Kind::Dict,
            _ => Kind::Tuple,
        };
        let object = self.object(kind)?;
        match code {
            b'd' => object.entries = pairs(elements),
            _ => object.elements = elements,
        }
        Ok(())
    }

    fn append(&mut self, code: u8) -> Result<(), PickleError> {
        let elements = if code == b'a' { vec![self.pop()?] } else { self.pop_mark()? };
        self.top_object()?.elements.extend(elements);
        Ok(())
    }

    fn set(&mut self, code: u8) -> Result<(), PickleError> {
        let flat = if code == b's' {
            let height = self.floor(2)?;
            self.stack.split_off(height)
        } else {
            self.pop_mark()?
        };
        self.top_object()?.entries.extend(pairs(flat));
        Ok(())
    }

    fn global(&mut self, code: u8) -> Result<(), PickleError> {
        let name = if code == b'c' {
            format!("{}.{}", self.line()?, self.line()?)
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            let (Value::Text(name), Value::Text(module)) = (name, module) else {
                return Err(PickleError::Operand(self.at));
            };
            // Both may have been remembered: a few bytes could make many long names of them.
            if name.len() + module.len() > MAX_NAME {
                return Err(PickleError::Operand(self.at));
            }
            format!("{module}.{name}")
        };
        self.push(Value::Global(name.into()))
    }

    fn instance(&mut self, code: u8) -> Result<(), PickleError> {
        if code == b'b' {
            let state = self.pop()?;
            // A state for something that is no object of ours, such as a name: of no use here.
            if matches!(self.top()?, Value::Object(_)) {
                self.top_object()?.state = Some(state);
            }
            return Ok(());
        }
        if code == b'Q' {
            let identity = self.pop()?;
            self.object(Kind::Persistent(identity))?;
            return Ok(());
        }
        if code == 0x92 {
            self.pop()?;
        }
        let (arguments, callee) = (self.pop()?, self.pop()?);
        self.object(Kind::Call { callee, arguments })?;
        Ok(())
    }

    fn memo(&mut self, code: u8) -> Result<(), PickleError> {
        let index = match code {
            b'q' | b'h' => self.take(1)?[0].into(),
            b'r' | b'j' => u32::from_le_bytes(self.array()?),
            _ => self.memo.len() as u32,
        };
        if matches!(code, b'h' | b'j') {
            let value = self.memo.get(&index).cloned().ok_or(PickleError::Operand(self.at))?;
            return self.push(value);
        }
        self.count()?;
        let top = self.top()?.clone();
        self.memo.insert(index, top);
        Ok(())
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], PickleError> {
        let rest = &self.bytes[self.position..];
        let taken = rest.get(..count).ok_or(PickleError::Truncated(self.bytes.len()))?;
        self.position += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        Ok(self.take(N)?.try_into().expect("as many bytes as were asked for"))
    }

    fn line(&mut self) -> Result<String, PickleError> {
        let rest = &self.bytes[self.position..];
        let end = rest.iter().position(|&byte| byte == b'\n');
        let line = self.take(end.ok_or(PickleError::Truncated(self.bytes.len()))? + 1)?;
        Ok(String::from_utf8_lossy(&line[..line.len() - 1]).into_owned())
    }

    fn count(&mut self) -> Result<(), PickleError> {
        self.pushed += 1;
        if self.pushed > MAX_VALUES { Err(PickleError::TooLarge) } else { Ok(()) }
    }

    fn push(&mut self, value: Value) -> Result<(), PickleError> {
        self.count()?;
        self.stack.push(value);
        Ok(())
    }

    /// Makes an object and pushes it.
    fn object(&mut self, kind: Kind) -> Result<&mut Object, PickleError> {
        self.push(Value::Object(self.objects.len()))?;
        let (elements, entries) = (Vec::new(), Vec::new());
        self.objects.push(Object { kind, elements, entries, state: None });
        Ok(self.objects.last_mut().expect("one was just pushed"))
    }

    fn mark(&mut self) -> Result<(), PickleError> {
        self.count()?;
        self.marks.push(self.stack.len());
        Ok(())
    }

    /// Height of the stack without the `count` values on top, all above the last mark.
    fn floor(&self, count: usize) -> Result<usize, PickleError> {
        let mark = self.marks.last().copied().unwrap_or(0);
        let height = self.stack.len().checked_sub(count).filter(|height| *height >= mark);
        height.ok_or(PickleError::Operand(self.at))
    }

    fn pop(&mut self) -> Result<Value, PickleError> {
        self.floor(1)?;
        self.stack.pop().ok_or(PickleError::Operand(self.at))
    }

    fn pop_mark(&mut self) -> Result<Vec<Value>, PickleError> {
        let mark = self.marks.pop().ok_or(PickleError::Operand(self.at))?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&self) -> Result<&Value, PickleError> {
        let height = self.floor(1)?;
        Ok(&self.stack[height])
    }

    fn top_object(&mut self) -> Result<&mut Object, PickleError> {
        let Value::Object(index) = *self.top()? else {
            return Err(PickleError::Operand(self.at));
        };
        Ok(&mut self.objects[index])
    }
}

/// Keys and values that follow each other; a last key without a value is dropped.
fn pairs(flat: Vec<Value>) -> Vec<(Value, Value)> {
    let mut flat = flat.into_iter();
    let mut pairs = Vec::with_capacity(flat.len() / 2);
    while let (Some(key), Some(value)) = (flat.next(), flat.next()) {
        pairs.push((key, value));
    }
    pairs
}

/// A whole number of any length, two's complement, the least byte first.
fn long(bytes: &[u8]) -> Value {
    if bytes.len() > 8 {
        return Value::Opaque;
    }
    let negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
    let mut wide = [if negative { 0xff } else { 0 }; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(wide))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn calls_are_recorded_and_never_made() {
        let pickle = Pickle::read(b"cos\nsystem\nX\x08\x00\x00\x00touch /x\x85R.").unwrap();
        let call = pickle.object(&pickle.root).unwrap();
        let Kind::Call { callee, arguments } = &call.kind else { panic!() };
        assert_eq!(*callee, Value::Global("os.system".into()));
        let arguments = pickle.object(arguments).unwrap();
        assert_eq!(arguments.elements, [Value::Text("touch /x".into())]);
    }

    #[test]
    fn what_is_remembered_is_the_same_object() {
        // A list that holds itself, appended to after it was remembered.
        let pickle =
            Pickle::read(b"\x80\x02]q\x00(h\x00K\x07M\x00\x01J\xff\xff\xff\xffe.").unwrap();
        let list = pickle.object(&pickle.root).unwrap();
        let numbers = [7, 256, -1].map(Value::Int);
        assert_eq!(list.elements[0], pickle.root);
        assert_eq!(list.elements[1..], numbers);
    }

    #[test]
    fn whole_numbers_are_signed() {
        for (bytes, value) in
            [(&b""[..], 0), (b"\xff", -1), (b"\xff\x00", 255), (b"\x00\x80", -32768)]
        {
            assert_eq!(long(bytes), Value::Int(value));
        }
        assert_eq!(long(&[1; 9]), Value::Opaque);
    }

    #[test]
    fn what_is_not_a_pickle_is_refused() {
        let error = |bytes: &[u8]| Pickle::read(bytes).unwrap_err();
        assert_eq!(error(b""), PickleError::Truncated(0));
        assert_eq!(error(b"X\xff\xff\xff\xffab"), PickleError::Truncated(7));
        assert_eq!(error(b"."), PickleError::Operand(0).clone());
        assert_eq!(error(b"h\x05."), PickleError::Operand(0));
        assert_eq!(error(b"I1\n."), PickleError::Instruction { at: 0, code: b'I' });
        // A value below the mark is not an operand above it.
        assert_eq!(error(b"N(\x85."), PickleError::Operand(2));
        let endless = [b"]".as_slice(), &b"2".repeat(MAX_VALUES + 1)].concat();
        assert_eq!(error(&endless), PickleError::TooLarge);
    }

    /// Mostly instructions that are supported, so that the machine gets somewhere.
    fn program() -> impl Strategy<Value = Vec<u8>> {
        let codes =
            b".(012NJKMGXBC])}tldaesucRbQqrhj\x80\x81\x85\x86\x87\x88\x8a\x8c\x8f\x90\x92\x93\x94";
        let byte =
            prop_oneof![4 => proptest::sample::select(&codes[..]), 1 => any::<u8>(), 1 => Just(0)];
        proptest::collection::vec(byte, 0..300)
    }

    proptest! {
        #[test]
        fn never_panics(bytes in program()) {
            let _ = Pickle::read(&bytes);
        }
    }
}
