// Which graphics card a device is.
#pragma once

#include <napi.h>

namespace tandem {

// cardOf(device) → what no other card of any machine is called, and "" where that can't be found out.
Napi::Value cardOf(const Napi::CallbackInfo& info);

}  // namespace tandem
