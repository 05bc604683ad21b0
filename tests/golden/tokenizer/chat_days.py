#!/usr/bin/env python3
"""Makes chat_days.json, figures of test_tokenizer.c: what `jinja2` makes of templates that tell the day.

To templates it is always DAY, where they ask for it by strftime_now, which transformers and llama.cpp give them.
"""
import datetime
import json
import os

from jinja2.sandbox import ImmutableSandboxedEnvironment

DAY = datetime.datetime(2026, 3, 5, 12)
FORMAT = "%d %b %Y"
DEFINED = "{%- if strftime_now is defined %}"
TODAY = f"{{%- set date_string = strftime_now(\"{FORMAT}\") %}}"
LITERAL = "{%- set date_string = \"26 Jul 2024\" %}"
TELL = ("    {{- \"Cutting Knowledge Date: December 2023\\n\" }}\n"
        "    {{- \"Today Date: \" + date_string + \"\\n\\n\" }}\n")


def llama3(day, tell=TELL):
    """A template in the manner of LLaMA 3.2's, without tools. `day` sets date_string, `tell` tells it."""
    return ("{{- bos_token }}\n{%- if not date_string is defined %}" + day + "{%- endif %}\n"
            "{%- if messages[0]['role'] == 'system' %}\n    {%- set system_message = messages[0]['content']|trim %}\n"
            "    {%- set messages = messages[1:] %}\n{%- else %}\n    {%- set system_message = \"\" %}\n{%- endif %}\n"
            "{{- \"<|start_header_id|>system<|end_header_id|>\\n\\n\" }}\n" + tell +
            "{{- system_message }}\n{{- \"<|eot_id|>\" }}\n{%- for message in messages %}\n"
            "    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + "
            "'<|eot_id|>' }}\n{%- endfor %}\n{%- if add_generation_prompt %}\n"
            "    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}\n{%- endif %}\n")


def today(format):
    return f"{DEFINED}{TODAY.replace(FORMAT, format)}{{%- else %}}{LITERAL}{{%- endif %}}"


TEMPLATES = {
    "llama3 with a day of its own": llama3(LITERAL),
    "llama3 of today": llama3(today(FORMAT)),
    "llama3 of today, or none": llama3(TODAY),
    "llama3 of today, in full": llama3(today("%A, %B %e, %Y")),
    "llama3 of today, in numbers": llama3(today("%Y-%m-%d, %d/%m/%y, %a %j, 100%%, it's")),
}
# What they say of the day is not known.
UNKNOWN = {
    "the time of the day": llama3(today("%d %b %Y %H:%M")),
    "a day without zeros": llama3(today("%-d %b %Y")),
    "a format cut short": llama3(today("%d %b %")),
    "no format": llama3(today("")),
    "a long format": llama3(today("%A" * 30)),
    "the format from elsewhere": llama3("{%- set f = \"%d %b %Y\" %}{%- set date_string = strftime_now(f) %}"),
    "more behind it": llama3(DEFINED + TODAY.replace(") %", ") + \" CE\" %") + "{%- endif %}"),
    "on some condition": llama3("{%- if messages | length > 1 %}" + TODAY + "{%- else %}" + LITERAL + "{%- endif %}"),
    "two of them": llama3(today(FORMAT), TELL + "    {{- strftime_now(\"%Y\") }}\n"),
    "told otherwise": llama3(today(FORMAT), TELL.replace("Today Date", "Today is")),
    "told before all else": llama3("", "{{- \"Today is \" + strftime_now(\"%d %b %Y\") + \"\\n\" }}\n"),
    "chatml of today": "{{ '<|im_start|>system\\nToday is ' + strftime_now('%d %b %Y') + '<|im_end|>\\n' }}"
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + "
        "'<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
}
USER, ASSISTANT, SYSTEM = "user", "assistant", "system"
CONVERSATIONS = [
    [(USER, " Hi\n")],
    [(SYSTEM, " Be brief. "), (USER, "What day is it?")],
    [(SYSTEM, "S"), (USER, "a"), (ASSISTANT, "b"), (USER, "c")],
]


def render(template, turns):
    """As transformers renders."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["strftime_now"] = DAY.strftime
    messages = [{"role": role, "content": content} for role, content in turns]
    return environment.from_string(template).render(messages=messages, bos_token="<s>", eos_token="</s>",
                                                    add_generation_prompt=True)


def figures(name, template):
    return {"name": name, "known": name in TEMPLATES, "template": template,
            "texts": [render(template, turns) if name in TEMPLATES else None for turns in CONVERSATIONS]}


def lines(items):
    """JSON with one line for every item."""
    return "[\n" + ",\n".join(json.dumps(item, separators=(",", ":")) for item in items) + "\n]"


def main():
    conversations = [[{"role": role, "text": text} for role, text in turns] for turns in CONVERSATIONS]
    templates = [figures(name, template) for name, template in {**TEMPLATES, **UNKNOWN}.items()]
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "chat_days.json")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{{\n\"conversations\": {lines(conversations)},\n\"templates\": {lines(templates)}\n}}\n")


if __name__ == "__main__":
    main()
