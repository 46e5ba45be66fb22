// fs/mm/tree_peek.h - whether a file has pages or entries at all, asked without its tree's lock.
//
// Locking: any context. Not a scheduling point; told to whoever reckons with conflicts (rt/step.h).
// Tested by: fuzz/tools/explore_subject_test.cc.
#pragma once

#include "fs/mm/address_space.h"
#include "fs/rt/step.h"

namespace daxfs::mm {

inline bool has_no_pages(const AddressSpace& mapping) {
  rt::also(rt::PointKind::kTreeRead, rt::object_id(rt::ObjectClass::kTree, mapping.i_pages.id(), 1));
  return mapping.i_pages.empty();
}

}  // namespace daxfs::mm
