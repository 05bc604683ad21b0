#!/usr/bin/env python3
"""Makes chat_days.json, figures of test_tokenizer.c: what `jinja2` makes of templates that tell the day, of some with
their branches for tools, and templates that come near to the known kinds but say more.

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


# As LLaMA 3.1, 3.2 and 3.3 have them, where they differ from llama3().
TOOLS = ("{%- if custom_tools is defined %}\n    {%- set tools = custom_tools %}\n{%- endif %}\n"
         "{%- if not tools_in_user_message is defined %}\n    {%- set tools_in_user_message = true %}\n{%- endif %}\n")
NO_TOOLS = ("{%- if not tools is defined %}\n    {%- set tools = none %}\n{%- endif %}\n\n"
            "{#- The system's \"message\" #}\n")
ENVIRONMENT = ("{%- if builtin_tools is defined or tools is not none %}\n    {{- \"Environment: ipython\\n\" }}\n"
               "{%- endif %}\n{%- if builtin_tools is defined %}\n    {{- \"Tools: \" + builtin_tools | "
               "reject('equalto', 'code_interpreter') | join(\", \") + \"\\n\\n\"}}\n{%- endif %}\n")
FUNCTIONS = ("    {{- 'Respond in the format {\"name\": function name, \"parameters\": dictionary}.' }}\n"
             "    {{- \"Do not use variables.\\n\\n\" }}\n    {%- for t in tools %}\n"
             "        {{- t | tojson(indent=4) }}\n        {{- \"\\n\\n\" }}\n    {%- endfor %}\n")
TOLD_FUNCTIONS = "{%- if tools is not none and not tools_in_user_message %}\n" + FUNCTIONS + "{%- endif %}\n"
USER_FUNCTIONS = ("{#- Tools are in the user's message #}\n{%- if tools_in_user_message and not tools is none %}\n"
                  "    {%- if messages | length != 0 %}\n"
                  "        {%- set first_user_message = messages[0]['content']|trim %}\n"
                  "        {%- set messages = messages[1:] %}\n    {%- else %}\n"
                  "        {{- raise_exception(\"There's no first user message!\") }}\n{%- endif %}\n"
                  "    {{- '<|start_header_id|>user<|end_header_id|>\\n\\n' -}}\n" + FUNCTIONS +
                  "    {{- first_user_message + \"<|eot_id|>\"}}\n{%- endif %}\n\n")
PLAIN = "    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}\n    "
CALLS = ("\n    {%- elif 'tool_calls' in message %}\n        {%- if not message.tool_calls|length == 1 %}\n"
         "            {{- raise_exception(\"One tool call at once!\") }}\n        {%- endif %}\n"
         "        {%- set tool_call = message.tool_calls[0].function %}\n"
         "        {%- if builtin_tools is defined and tool_call.name in builtin_tools %}\n"
         "            {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}\n"
         "            {{- \"<|python_tag|>\" + tool_call.name + \".call(\" }}\n"
         "            {%- for arg_name, arg_val in tool_call.arguments | items %}\n"
         "                {{- arg_name + '=\"' + arg_val + '\"' }}\n"
         "                {%- if not loop.last %}\n                    {{- \", \" }}\n                {%- endif %}\n"
         "                {%- endfor %}\n            {{- \")\" }}\n        {%- else  %}\n"
         "            {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}\n"
         "            {{- '{\"name\": \"' + tool_call.name + '\", ' }}\n            {{- '\"parameters\": ' }}\n"
         "            {{- tool_call.arguments | tojson }}\n            {{- \"}\" }}\n        {%- endif %}\n"
         "        {%- if builtin_tools is defined %}\n            {{- \"<|eom_id|>\" }}\n        {%- else %}\n"
         "            {{- \"<|eot_id|>\" }}\n        {%- endif %}\n"
         "    {%- elif message.role == \"tool\" or message.role == \"ipython\" %}\n"
         "        {{- \"<|start_header_id|>ipython<|end_header_id|>\\n\\n\" }}\n"
         "        {%- if message.content is mapping or message.content is iterable %}\n"
         "            {{- message.content | tojson }}\n        {%- else %}\n            {{- message.content }}\n"
         "        {%- endif %}\n        {{- \"<|eot_id|>\" }}\n    {%- endif %}\n{%- endfor %}\n")


def changed(template, *changes):
    """With each (what, by what) done, which has to be there."""
    for old, new in changes:
        assert old in template, old
        template = template.replace(old, new, 1)
    return template


def with_tools(template):
    return changed(template, ("{{- bos_token }}\n", "{{- bos_token }}\n" + TOOLS),
                   ("{%- if messages[0]", NO_TOOLS + "{%- if messages[0]"), (TELL, ENVIRONMENT + TELL + TOLD_FUNCTIONS),
                   ("{%- for message", USER_FUNCTIONS + "{%- for message"),
                   ("    {{- '<|start_header_id|>' + m", PLAIN + "    {{- '<|start_header_id|>' + m"),
                   ("'<|eot_id|>' }}\n{%- endfor %}\n", "'<|eot_id|>' }}" + CALLS))


# Qwen's, 2.5 and 3.
QWEN_TOOLS = ("{%- if tools %}\n    {{- '<|im_start|>system\\n' }}\n    {%- if messages[0].role == 'system' %}\n"
              "        {{- messages[0].content + '\\n\\n' }}\n    {%- endif %}\n    {{- \"# Tools\\n\\n\" }}\n"
              "    {%- for tool in tools %}\n        {{- \"\\n\" }}\n        {{- tool | tojson }}\n    {%- endfor %}\n"
              "    {{- \"\\n{\\\"name\\\": <function-name>}\\n<|im_end|>\\n\" }}\n{%- else %}\n"
              "    {%- if messages[0].role == 'system' %}\n"
              "        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}\nOTHERWISE"
              "    {%- endif %}\n{%- endif %}\n")
QWEN_OWN = "    {%- else %}\n        {{- '<|im_start|>system\\nYou are Q. You help.<|im_end|>\\n' }}\n"
QWEN_CALLS = ("    {%- elif message.role == \"tool\" %}\n"
              "        {%- if loop.first or (messages[loop.index0 - 1].role != \"tool\") %}\n"
              "            {{- '<|im_start|>user' }}\n        {%- endif %}\n        {{- '\\n<tool_response>\\n' }}\n"
              "        {{- message.content }}\n        {{- '\\n</tool_response>' }}\n"
              "        {%- if loop.last or (messages[loop.index0 + 1].role != \"tool\") %}\n"
              "            {{- '<|im_end|>\\n' }}\n        {%- endif %}\n    {%- endif %}\n{%- endfor %}\n"
              "{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n")
QWEN2 = (QWEN_TOOLS.replace("OTHERWISE", QWEN_OWN) + "{%- for message in messages %}\n"
         "    {%- if (message.role == \"user\") or (message.role == \"system\" and not loop.first) or "
         "(message.role == \"assistant\" and not message.tool_calls) %}\n"
         "        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}\n"
         "    {%- elif message.role == \"assistant\" %}\n        {{- '<|im_start|>' + message.role }}\n"
         "        {%- if message.content %}\n            {{- '\\n' + message.content }}\n        {%- endif %}\n"
         "        {%- for tool_call in message.tool_calls %}\n            {{- tool_call.arguments | tojson }}\n"
         "        {%- endfor %}\n        {{- '<|im_end|>\\n' }}\n" + QWEN_CALLS + "{%- endif %}\n")
CHATML = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + "
          "'<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
CHATML_OWN = "{{ '<|im_start|>system\\nBe kind.<|im_end|>\\n' }}"
LLAMA3 = ("{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + "
          "message['content'] | trim + '<|eot_id|>' }}{% endfor %}"
          "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}")
LLAMA3_OWN = "{{ '<|start_header_id|>system<|end_header_id|>\\n\\nBe kind.<|eot_id|>' }}"
ZEPHYR = ("{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\\n' + message['content'] + "
          "eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\\n' + message['content'] + "
          "eos_token }}\n"
          "{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\\n'  + message['content'] + eos_token }}\n"
          "{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}")
NOT_SYSTEM = "{% if messages[0]['role'] != 'system' %}"

TEMPLATES = {
    "llama3 with a day of its own": llama3(LITERAL),
    "llama3 of today": llama3(today(FORMAT)),
    "llama3 of today, or none": llama3(TODAY),
    "llama3 of today, in full": llama3(today("%A, %B %e, %Y")),
    "llama3 of today, in numbers": llama3(today("%Y-%m-%d, %d/%m/%y, %a %j, 100%%, it's")),
    "llama3 with a day of its own and tools": with_tools(llama3(LITERAL)),
    "llama3 of today with tools": with_tools(llama3(today(FORMAT))),
    "llama3 with the beginning first": "{{ bos_token }}" + LLAMA3,
    "chatml with tools": QWEN2,
    "chatml with a beginning": "{{ bos_token }}" + CHATML,
}
# What they say of the day, or besides, is not known.
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
    "llama3 with a system prompt": changed(
        llama3(today(FORMAT)), ("system_message = \"\"", "system_message = \"Hm.\"")),
    "llama3 with one in tools' place": changed(with_tools(llama3(LITERAL)), (NO_TOOLS, NO_TOOLS + LLAMA3_OWN)),
    "llama3 with one and no day": "{{ bos_token }}" + NOT_SYSTEM + LLAMA3_OWN + "{% endif %}" + LLAMA3,
    "llama3 with more behind the day": llama3(LITERAL, TELL + "{{- \"Be kind.\\n\" }}"),
    "llama3 with a day in a system prompt alone": changed(
        llama3(LITERAL), ("{%- else %}\n    {%- set system_message = \"\" %}\n{%- endif %}\n", ""),
        ("<|eot_id|>\" }}\n", "<|eot_id|>\" }}\n{%- endif %}\n")),
    "llama3 of another day": llama3(today(FORMAT) + "{%- set date_string = \"1 Jan 1970\" %}"),
    "llama3 of another day later": changed(
        llama3(LITERAL), ("{%- if messages[0]", "{%- set date_string = \"1 Jan 1970\" %}{%- if messages[0]")),
    "llama3 that thinks": "{{ bos_token }}" + LLAMA3 + "{{ '<think>\\n' }}",
    "llama3 without a beginning": LLAMA3,
    "llama3 with a text": "{{ bos_token }}{{ 'Be kind.\\n' }}" + LLAMA3,
    "llama3 with a bare text": "{{ bos_token }}Be kind.\n" + LLAMA3,
    "zephyr with a system prompt": NOT_SYSTEM + "{{ '<|system|>\\nBe kind.' + eos_token }}\n{% endif %}" + ZEPHYR,
    "zephyr with a text": "{{ 'Be kind.' }}" + ZEPHYR,
    "zephyr with a bare text": "Be kind.\n" + ZEPHYR,
    "zephyr with a beginning": "{{ bos_token }}" + ZEPHYR,
    "chatml with a bare text": "Be kind.\n" + CHATML,
    "chatml with a text": "{{ 'Be kind.\\n' }}" + CHATML,
    "chatml with a system prompt always": CHATML_OWN + CHATML,
    "chatml with one never": "{% if false %}" + CHATML_OWN + "{% endif %}" + CHATML,
    "chatml with a beginning never": "{% if false %}{{ bos_token }}{% endif %}" + CHATML,
    "chatml in capitals": "{% for message in messages %}{% set content = message['content'] | upper %}"
        "{{ '<|im_start|>' + message['role'] + '\\n' + content + '<|im_end|>\\n' }}{% endfor %}"
        "{{ '<|im_start|>assistant\\n' }}",
    "chatml of another role": changed(CHATML, ("{{", "{% if message['role'] == 'system' %}"
        "{{ '<|im_start|>developer\\n' + message['content'] + '<|im_end|>\\n' }}{% else %}{{"),
        ("}}{% endfor", "}}{% endif %}{% endfor")),
    "chatml without an end": CHATML + "{{ 'abc",
    "chatml in a comment": "{# " + CHATML,
    "chatml in a text": "{{ \" }}" + CHATML,
    "chatml without an endif": CHATML + "{% if true %}",
    "chatml with a stray endif": CHATML + "{% endif %}",
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
