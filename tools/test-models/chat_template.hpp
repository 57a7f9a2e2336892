// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace rbee::mkmodel {

/// Turns between <|im_start|> and <|im_end|>, nothing else.
inline constexpr char plain_chat_template[] = R"({%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\n' + (message.content or '') + '<|im_end|>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|im_start|>assistant\n' }}
{%- endif -%})";

/// The same, and shows tools and earlier calls in the form that llama.cpp reads back as calls.
inline constexpr char tools_chat_template[] = R"({%- if tools -%}
{{ '<|im_start|>system\nTools:\n' }}
{%- for tool in tools -%}
{{ (tool | tojson) + '\n' }}
{%- endfor -%}
{{ 'Call one with <tool_call>{"name": ..., "arguments": ...}</tool_call><|im_end|>\n' }}
{%- endif -%}
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\n' }}
{%- if message.content -%}
{{ message.content }}
{%- endif -%}
{%- if message.tool_calls -%}
{%- for call in message.tool_calls -%}
{{ '<tool_call>{"name": "' + call.function.name + '", "arguments": ' }}
{{- (call.function.arguments | tojson) + '}</tool_call>' }}
{%- endfor -%}
{%- endif -%}
{{ '<|im_end|>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|im_start|>assistant\n' }}
{%- endif -%})";

} // namespace rbee::mkmodel
